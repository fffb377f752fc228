"""Scenes drawn off screen by MuJoCo's renderer: colour, instance ids and, on request, metric depth.

One model with every mesh is compiled a renderer; a frame fills MuJoCo's abstract scene directly, so that nothing is
compiled or simulated between frames.
"""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lisa_ros.simulation.assets import AssetCache, MeshAsset
from lisa_ros.simulation.scenes import Camera, Exposure, Light, Scene, Surface, object_transform
from lisa_ros.simulation.sources import AssetError
from lisa_ros.simulation.surfaces import mean_colour, paint

SURFACE_PIXELS = {"table": 1024, "floor": 512, "wall": 512}
SAMPLES = 4
SHADOW_PIXELS = 2048
NEAR, FAR = 0.05, 15.0
FLOOR_HEIGHT = -0.74
WALL_HEIGHT = 2.6
TABLE_THICKNESS = 0.035


@dataclass(frozen=True, slots=True)
class Rendered:
    """One drawn frame: ``rgb`` uint8 ``[H, W, 3]``, ``instance_ids`` uint8 ``[H, W]`` (0 background, i + 1 object i).

    ``depth`` float32 ``[H, W]`` is the distance along the optical axis in metres, 0 where nothing is near enough.
    """

    rgb: NDArray[np.uint8]
    instance_ids: NDArray[np.uint8]
    depth: NDArray[np.float32] | None


def choose_backend(backend: Literal["egl", "osmesa"] | None = None) -> Any:
    """Return the mujoco module with a working off-screen backend: ``backend``, ``$MUJOCO_GL``, or EGL, then OSMesa.

    Raises ``AssetError`` with the packages to install when none works.
    """
    wanted = [backend or os.environ.get("MUJOCO_GL", "")]
    failures = []
    for name in wanted if wanted[0] else ["egl", "osmesa"]:
        os.environ["MUJOCO_GL"] = os.environ["PYOPENGL_PLATFORM"] = name
        try:
            mujoco = importlib.import_module("mujoco")
            mujoco.GLContext(16, 16).free()
            return mujoco
        except (ImportError, RuntimeError, AttributeError, OSError) as error:
            failures.append(f"{name}: {error}")
    raise AssetError(
        f"MuJoCo cannot draw without a screen ({'; '.join(failures)}); install libegl1 libegl-mesa0 libgl1-mesa-dri, "
        "or libosmesa6 and set MUJOCO_GL=osmesa."
    )


class Renderer:
    """Draws scenes of one image size with the objects of one asset cache."""

    def __init__(self, assets: AssetCache, width: int, height: int) -> None:
        """Compile every mesh of ``assets`` and open an off-screen context of ``width`` x ``height`` pixels."""
        self.assets, self.width, self.height = assets, width, height
        self._mujoco = mujoco = choose_backend()
        self._gl = mujoco.GLContext(width, height)
        self._gl.make_current()
        self._model = mujoco.MjModel.from_xml_string(_model_text(assets, width, height))
        self._context = mujoco.MjrContext(self._model, mujoco.mjtFontScale.mjFONTSCALE_100)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        self._scene = mujoco.MjvScene(self._model, maxgeom=400)
        self._viewport = mujoco.MjrRect(0, 0, width, height)

    def render(self, scene: Scene, depth: bool = False) -> Rendered:
        """Draw one scene; its camera must have the size of this renderer."""
        if (scene.camera.width, scene.camera.height) != (self.width, self.height):
            camera = f"{scene.camera.width}x{scene.camera.height}"
            raise ValueError(f"The camera has {camera} pixels; this renderer draws {self.width}x{self.height}.")
        self._gl.make_current()
        self._scene.ngeom = 0
        self._fill_camera(scene.camera)
        self._fill_lights(scene)
        self._fill_room(scene)
        for number in range(len(scene.objects)):
            self._fill_object(scene, number)
        rgb = expose(self._draw_colours(), scene.exposure)
        return Rendered(rgb, *self._draw_ids(depth))

    def close(self) -> None:
        """Free the off-screen context."""
        self._context.free()
        self._gl.free()

    def _fill_camera(self, camera: Camera) -> None:
        pose = camera.pose
        top = NEAR * self.height / (2.0 * camera.focal_length)
        for eye in self._scene.camera:
            eye.pos, eye.forward, eye.up = camera.position, pose[:3, 2], -pose[:3, 1]
            eye.frustum_center, eye.frustum_width, eye.orthographic = 0.0, top * self.width / self.height, 0
            eye.frustum_top, eye.frustum_bottom, eye.frustum_near, eye.frustum_far = top, -top, NEAR, FAR

    def _fill_lights(self, scene: Scene) -> None:
        self._scene.nlight = len(scene.lights)
        for target, light in zip(self._scene.lights[: len(scene.lights)], scene.lights, strict=True):
            self._fill_light(target, light)
        self._scene.lights[len(scene.lights) - 1].ambient = scene.ambient

    def _fill_light(self, target: Any, light: Light) -> None:
        kinds = self._mujoco.mjtLightType
        target.type = kinds.mjLIGHT_DIRECTIONAL if light.position is None else kinds.mjLIGHT_SPOT
        target.pos = light.position or tuple(-2.0 * value for value in light.direction)
        target.dir, target.diffuse, target.ambient = light.direction, light.colour, (0.0, 0.0, 0.0)
        target.specular = tuple(0.6 * value for value in light.colour)
        target.attenuation, target.cutoff, target.exponent = (1.0, 0.0, 0.0), 55.0, 4.0
        target.castshadow, target.headlight, target.bulbradius = int(light.shadow), 0, 0.02
        target.texid, target.intensity, target.range = -1, 0.0, 10.0

    def _fill_room(self, scene: Scene) -> None:
        table, room = scene.table, scene.room
        span = 2.0 * room.distance
        top = self._paint("table", table.surface, table.width, table.depth)
        self._paint("floor", room.floor, span, span)
        self._paint("wall", room.wall, span, WALL_HEIGHT)
        self._add_plane("table", (0.0, 0.0, 0.0), np.eye(3), table.width, table.depth, table.gloss)
        self._add_plane("floor", (0.0, 0.0, FLOOR_HEIGHT), np.eye(3), span, span, 0.0)
        edge = tuple(value * 0.7 for value in mean_colour(top))
        middle = np.array([0.0, 0.0, -TABLE_THICKNESS / 2.0 - 0.001])
        half = np.array([table.width, table.depth, TABLE_THICKNESS]) / 2.0
        self._add_geom(self._mujoco.mjtGeom.mjGEOM_BOX, half, middle, np.eye(3), (*edge, 1.0))
        for turn in range(4):
            self._add_wall(turn * np.pi / 2.0, room.distance, span)

    def _add_wall(self, angle: float, distance: float, span: float) -> None:
        inward = np.array([-np.cos(angle), -np.sin(angle), 0.0])
        upward = np.array([0.0, 0.0, 1.0])
        turn = np.stack([np.cross(upward, inward), upward, inward], axis=1)
        middle = -distance * inward + np.array([0.0, 0.0, FLOOR_HEIGHT + WALL_HEIGHT / 2.0])
        self._add_plane("wall", middle, turn, span, WALL_HEIGHT, 0.0)

    def _add_plane(
        self, name: str, middle: Any, turn: NDArray[np.float64], width: float, depth: float, gloss: float
    ) -> None:
        half = np.array([width / 2.0, depth / 2.0, 0.1])
        geom = self._add_geom(self._mujoco.mjtGeom.mjGEOM_PLANE, half, np.array(middle), turn, (1.0, 1.0, 1.0, 1.0))
        geom.matid = self._model.material(name).id
        geom.specular, geom.shininess = gloss, 0.5

    def _add_geom(self, kind: Any, size: Any, middle: Any, turn: Any, rgba: Any) -> Any:
        geom = self._scene.geoms[self._scene.ngeom]
        colour = np.array(rgba, np.float32)
        self._mujoco.mjv_initGeom(geom, kind, size, middle, np.ascontiguousarray(turn).ravel(), colour)
        geom.category, geom.segid, geom.transparent = 1, 0, int(colour[3] < 1.0)
        geom.specular, geom.shininess, geom.emission, geom.reflectance = 0.1, 0.3, 0.0, 0.0
        geom.camdist = float(np.linalg.norm(middle - np.array(self._scene.camera[0].pos)))
        self._scene.ngeom += 1
        return geom

    def _fill_object(self, scene: Scene, number: int) -> None:
        placed = scene.objects[number]
        asset = self.assets.meshes[placed.mesh]
        pose = asset.poses[placed.pose]
        transform = object_transform(placed, np.array(pose.rotation), np.array(pose.offset))
        for index, (part, colour) in enumerate(zip(asset.parts, placed.colours, strict=True)):
            mesh = self._model.mesh(f"{asset.identifier}/{index}").id
            turn = np.zeros(9)
            self._mujoco.mju_quat2Mat(turn, self._model.mesh_quat[mesh])
            middle = transform[:3, :3] @ self._model.mesh_pos[mesh] + transform[:3, 3]
            shape = transform[:3, :3] @ turn.reshape(3, 3)
            geom = self._add_geom(self._mujoco.mjtGeom.mjGEOM_MESH, np.ones(3), middle, shape, colour)
            geom.dataid, geom.segid = 2 * mesh, number + 1
            geom.specular, geom.shininess = 0.6 * part.specular, max(0.1, part.shininess)
            if part.texture:
                geom.matid, geom.texcoord = self._model.material(f"{asset.identifier}/{index}").id, 1

    def _paint(self, name: str, surface: Surface, width: float, depth: float) -> NDArray[np.uint8]:
        picture = paint(surface, width, depth, SURFACE_PIXELS[name], self.assets)
        texture = self._model.texture(name).id
        start = self._model.tex_adr[texture]
        self._model.tex_data[start : start + picture.size] = picture.ravel()
        self._mujoco.mjr_uploadTexture(self._model, self._context, texture)
        return picture

    def _draw_colours(self) -> NDArray[np.uint8]:
        rgb = np.empty((self.height, self.width, 3), np.uint8)
        self._set_flags(segment=False)
        self._mujoco.mjr_render(self._viewport, self._scene, self._context)
        self._mujoco.mjr_readPixels(rgb, None, self._viewport, self._context)
        return rgb[::-1]

    def _draw_ids(self, depth: bool) -> tuple[NDArray[np.uint8], NDArray[np.float32] | None]:
        """Draw ids without multisampling, and read depth in the same pass: both are of the middle of each pixel."""
        colours = np.empty((self.height, self.width, 3), np.uint8)
        buffer = np.empty((self.height, self.width), np.float32) if depth else None
        self._set_flags(segment=True)
        self._mujoco.mjr_render(self._viewport, self._scene, self._context)
        self._mujoco.mjr_readPixels(colours, buffer, self._viewport, self._context)
        ids = np.maximum(colours[::-1, :, 0], 1) - 1
        return ids, None if buffer is None else metric_depth(buffer[::-1], self._context.readDepthMap != 0)

    def _set_flags(self, segment: bool) -> None:
        flags = self._mujoco.mjtRndFlag
        for flag, value in ((flags.mjRND_SEGMENT, segment), (flags.mjRND_IDCOLOR, segment)):
            self._scene.flags[flag] = int(value)
        self._scene.flags[flags.mjRND_SHADOW] = int(not segment)
        self._scene.flags[flags.mjRND_CULL_FACE] = 1
        for flag in (flags.mjRND_REFLECTION, flags.mjRND_SKYBOX, flags.mjRND_HAZE, flags.mjRND_FOG):
            self._scene.flags[flag] = 0


def expose(rgb: NDArray[np.uint8], exposure: Exposure) -> NDArray[np.uint8]:
    """Return the picture as a sensor with this exposure would record it."""
    levels = np.arange(256) / 255.0
    table = 255.0 * np.clip(levels[:, None] * np.array(exposure.gain), 0.0, 1.0) ** exposure.gamma
    recorded = np.stack([table[rgb[:, :, channel], channel] for channel in range(3)], axis=2).astype(np.float32)
    random = np.random.default_rng(exposure.seed)
    recorded += exposure.noise * random.standard_normal(recorded.shape, np.float32)
    return np.clip(np.rint(recorded), 0, 255).astype(np.uint8)


def metric_depth(buffer: NDArray[np.float32], reversed_map: bool) -> NDArray[np.float32]:
    """Return metres along the optical axis from a depth buffer in [0, 1]; 0 at the far plane."""
    normalised = 1.0 - buffer if reversed_map else buffer
    depth = NEAR * FAR / (FAR - normalised * (FAR - NEAR))
    return np.where(normalised >= 1.0, 0.0, depth).astype(np.float32)


def _model_text(assets: AssetCache, width: int, height: int) -> str:
    lines = [
        "<mujoco><statistic extent='1' center='0 0 0'/><visual>",
        f"<quality offsamples='{SAMPLES}' shadowsize='{SHADOW_PIXELS}'/>",
        f"<global offwidth='{width}' offheight='{height}'/>",
        f"<map shadowclip='2' shadowscale='0.9' znear='{NEAR}' zfar='{FAR}'/>",
        "</visual><asset>",
    ]
    for name, pixels in SURFACE_PIXELS.items():
        lines.append(f"<texture name='{name}' type='2d' builtin='flat' width='{pixels}' height='{pixels}'/>")
        lines.append(f"<material name='{name}' texture='{name}'/>")
    for mesh in assets.meshes.values():
        lines += _mesh_lines(assets, mesh)
    return "\n".join([*lines, "</asset><worldbody/></mujoco>"])


def _mesh_lines(assets: AssetCache, mesh: MeshAsset) -> list[str]:
    lines = []
    for index, part in enumerate(mesh.parts):
        name, path = f"{mesh.identifier}/{index}", assets.part_path(mesh, part.mesh)
        lines.append(f"<mesh name='{name}' file='{path}' inertia='shell'/>")
        if part.texture:
            picture = assets.part_path(mesh, part.texture)
            lines.append(f"<texture name='{name}' type='2d' file='{picture}'/>")
            lines.append(f"<material name='{name}' texture='{name}'/>")
    return lines
