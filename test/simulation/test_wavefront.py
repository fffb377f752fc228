from __future__ import annotations

from pathlib import Path

import numpy as np

from lisa_ros.simulation.wavefront import read_wavefront, two_sided, write_wavefront

MATERIALS = "newmtl red\nKd 1 0 0\nd 0.5\nKs 0.2 0.2 0.2\nNs 64\nnewmtl picture\nmap_Kd wood.jpg\n"
SQUARES = """
o first
v 0 0 0
v 1 0 0
v 1 1 0
v 0 1 0
vt 0 0
vt 1 1
usemtl red
f 1/1 2/1 3/2 4/2
o second
usemtl picture
f -4 -3 -2
"""


def test_groups_and_materials_become_parts() -> None:
    first, second = read_wavefront(SQUARES, MATERIALS)
    assert (first.group, second.group) == ("first", "second")
    assert first.material.colour == (1.0, 0.0, 0.0)
    assert (first.material.opacity, first.material.shininess) == (0.5, 0.5)
    assert second.material.texture == "wood.jpg"
    assert (len(first.faces), len(second.faces)) == (2, 1)


def test_missing_normals_are_smooth_on_a_bend_and_sharp_at_a_crease() -> None:
    edge = "v 0 0 0\nv 0 1 0\nv -1 0 0\nv 1 0 {0}\nf 1 2 3\nf 2 1 4\n"
    smooth = read_wavefront(edge.format(0.3), "")[0]
    sharp = read_wavefront(edge.format(5.0), "")[0]
    assert len(smooth.vertices) == 4
    assert len(sharp.vertices) == 6
    assert np.allclose(np.linalg.norm(smooth.normals, axis=1), 1.0)


def test_two_sided_faces_are_seen_from_both_sides_whatever_their_winding() -> None:
    part = two_sided(read_wavefront("v 0 0 0\nv 1 0 0\nv 0 1 0\nvn 0 0 -1\nf 1//1 2//1 3//1\n", "")[0])
    corners = part.vertices[part.faces]
    facing = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert sorted(facing[:, 2]) == [-1.0, 1.0]
    assert (np.einsum("ij,ij->i", facing, part.normals[part.faces[:, 0]]) > 0).all()


def test_a_written_part_reads_back(tmp_path: Path) -> None:
    part = read_wavefront(SQUARES, MATERIALS)[0]
    write_wavefront(part, tmp_path / "part.obj")
    again = read_wavefront((tmp_path / "part.obj").read_text(), "")[0]
    assert np.allclose(again.vertices[again.faces], part.vertices[part.faces])
    assert np.allclose(again.texture_coordinates[again.faces], part.texture_coordinates[part.faces])
