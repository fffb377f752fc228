from __future__ import annotations

import pytest

from lisa_ros.simulation.kinds import KINDS, kind_of


def test_there_are_35_kinds_with_names_and_meshes() -> None:
    assert len({kind.identifier for kind in KINDS}) == 35
    assert all(kind.name and kind.plural and kind.meshes for kind in KINDS)


def test_every_mesh_has_its_own_identifier_and_a_size_that_fits_a_table() -> None:
    meshes = [mesh for kind in KINDS for mesh in kind.meshes]
    assert len({mesh.identifier for mesh in meshes}) == len(meshes)
    assert all(0.05 <= mesh.length <= 0.35 for mesh in meshes)


ALL_IN_TRAINING = ("soap_dispenser",)
"""Its three meshes differ too much (one has a pump) for two of them to stand for the third."""


def test_kinds_with_three_meshes_or_more_hold_one_out_and_others_none() -> None:
    for kind in KINDS:
        held_out = sum(mesh.held_out for mesh in kind.meshes)
        if len(kind.meshes) < 3:
            assert held_out == 0, kind.identifier
        elif kind.identifier not in ALL_IN_TRAINING:
            assert held_out == 1, kind.identifier


def test_every_mesh_names_its_author_and_licence() -> None:
    assert all(mesh.author and mesh.licence for kind in KINDS for mesh in kind.meshes)


def test_an_unknown_kind_is_answered_with_the_known_ones() -> None:
    assert kind_of("cup").plural == "cups"
    with pytest.raises(ValueError, match="'unicorn'.*apple.*teddy_bear"):
        kind_of("unicorn")
