"""The household objects of the tabletop: 35 kinds and every mesh that may stand for one of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

Library = Literal["blendswap_cc0", "blendswap_ccby", "katorlegaz", "scopia", "robosuite", "primitives"]
Rest = Literal["upright", "flat"]
Recolour = Literal["any", "shade", "tint"]

LICENCES: dict[Library, str] = {
    "blendswap_cc0": "CC0-1.0",
    "blendswap_ccby": "CC-BY-3.0",
    "katorlegaz": "CC-BY-3.0-US",
    "scopia": "CC-BY-3.0",
    "robosuite": "MIT",
    "primitives": "the licence of this project",
}
AUTHORS: dict[Library, str] = {
    "katorlegaz": "Andrew Kator & Jennifer Legaz",
    "scopia": "Scopia Visual Interfaces Systems, s.l. & Emmanuel Puybaret / eTeks",
    "robosuite": "The robosuite developers (Stanford University, UT Austin)",
    "primitives": "The authors of this project",
}


@dataclass(frozen=True, slots=True)
class MeshSource:
    """Where one mesh comes from and how it becomes an object on a table.

    ``path`` is the OBJ file inside its library. ``length`` is the longest side in metres, to which the mesh is scaled
    uniformly. ``cut`` names the OBJ groups to keep (by prefix; all if empty). ``rest`` "upright" keeps the model's own
    vertical, "flat" lays the mesh on the stable side with the lowest centre. ``lies`` says that it may also lie on its
    side. ``texture`` replaces the picture of the model's own material. ``held_out`` meshes never occur in training.
    ``stretch`` is applied along x, y, z before scaling.
    """

    identifier: str
    library: Library
    path: str
    author: str
    length: float
    cut: tuple[str, ...] = ()
    rest: Rest = "upright"
    lies: bool = False
    texture: str = ""
    held_out: bool = False
    stretch: tuple[float, float, float] = (1.0, 1.0, 1.0)

    @property
    def licence(self) -> str:
        """SPDX-like licence name of the library."""
        return LICENCES[self.library]


@dataclass(frozen=True, slots=True)
class Kind:
    """A sort of object with the words for one and for several of it.

    ``recolour`` says what colours it plausibly has: "any" hue, a "tint" of its own hue, or only another "shade".
    """

    identifier: str
    name: str
    plural: str
    meshes: tuple[MeshSource, ...]
    recolour: Recolour = "shade"


def _robosuite(
    name: str, length: float, texture: str, lies: bool = True, stretch: tuple[float, float, float] = (1.0, 1.0, 1.0)
) -> MeshSource:
    path, author = f"robosuite/models/assets/objects/meshes/{name}.obj", AUTHORS["robosuite"]
    identifier = f"robosuite_{name}"
    return MeshSource(identifier, "robosuite", path, author, length, lies=lies, texture=texture, stretch=stretch)


def _primitive(name: str, length: float, held_out: bool = False) -> MeshSource:
    return MeshSource(f"primitives_{name}", "primitives", name, AUTHORS["primitives"], length, held_out=held_out)


def _mesh(
    library: Library,
    model: str,
    length: float,
    author: str = "",
    cut: str = "",
    rest: Rest = "upright",
    lies: bool = False,
    held_out: bool = False,
    label: str = "",
) -> MeshSource:
    """Name a Sweet Home 3D model by its folder; ``cut`` lists group prefixes apart by spaces."""
    folder = {"blendswap_cc0": "blendswap-cc-0", "blendswap_ccby": "blendswap-cc-by"}.get(library, library)
    identifier = "_".join(part for part in (library, model.lower().replace("-", "_"), label) if part)
    path = f"{folder}/{model}/{model}.obj"
    who = author or AUTHORS[library]
    return MeshSource(identifier, library, path, who, length, tuple(cut.split()), rest, lies, "", held_out)


SETTING = "ensemble-assiette-couteau-fourchette-cuillere-verre"
PLACE = "plate-and-ustensils"

KINDS: tuple[Kind, ...] = (
    Kind("apple", "apple", "apples", (
        _mesh("scopia", "apples", 0.080, cut="apple2.001", lies=True, label="first"),
        _mesh("scopia", "bowlWithFruits", 0.078, cut="apple.001", lies=True, label="apple"),
    ), "tint"),
    Kind("banana", "banana", "bananas", (
        _mesh("scopia", "bowlWithFruits", 0.19, cut="banana.001", rest="flat", label="banana"),
        _mesh("scopia", "bowlWithFruits", 0.18, cut="banana.002", rest="flat", label="second_banana"),
    )),
    Kind("lemon", "lemon", "lemons", (_robosuite("lemon", 0.085, "lemon", stretch=(1.35, 1.0, 1.0)),)),
    Kind("bread", "loaf of bread", "loaves of bread", (
        _mesh("blendswap_cc0", "bread", 0.20, "Yd"),
        _robosuite("bread", 0.14, "bread", lies=False),
    )),
    Kind("hamburger", "hamburger", "hamburgers", (_mesh("blendswap_ccby", "hamburger", 0.11, "SaiZyca2"),)),
    Kind("milk_carton", "milk carton", "milk cartons", (
        _mesh("blendswap_cc0", "tetrapak", 0.235, "Tastykle3d & eTeks", lies=True),
        _robosuite("milk", 0.20, ""),
    ), "tint"),
    Kind("cereal_box", "cereal box", "cereal boxes", (_robosuite("cereal", 0.25, "cereal"),), "tint"),
    Kind("soda_can", "soda can", "soda cans", (_robosuite("can", 0.122, "soda"),), "any"),
    Kind("wine_bottle", "wine bottle", "wine bottles", (
        _mesh("katorlegaz", "red-wine-bottle-01", 0.30, lies=True),
        _mesh("scopia", "wine_bottle", 0.30, lies=True),
    )),
    Kind("cup", "cup", "cups", (
        _mesh("katorlegaz", "coffee-mug", 0.115, lies=True),
        _mesh("scopia", "cup", 0.105, cut="cup", lies=True),
        _mesh("scopia", "cup", 0.130, label="and_saucer"),
        _mesh("blendswap_cc0", "caffe_final", 0.120, "Reduno"),
        _mesh("blendswap_cc0", "plasticCup", 0.100, "Chemsciguy", lies=True, held_out=True),
        _mesh("blendswap_ccby", "coffee_cup", 0.130, "Dzerbs", lies=True),
    ), "any"),
    Kind("drinking_glass", "glass", "glasses", (
        _mesh("katorlegaz", "12-oz-glass", 0.100, lies=True),
        _mesh("katorlegaz", "highball-glass", 0.125, lies=True, held_out=True),
        _mesh("blendswap_ccby", "glass", 0.195, "Jay-Artist"),
        _mesh("blendswap_ccby", "cocktailGlass", 0.135, "Xablend1122"),
        _mesh("blendswap_cc0", "beerGlass", 0.160, "Hedgehogpro"),
        _mesh("scopia", SETTING, 0.135, cut="watercup", label="water"),
        _mesh("scopia", SETTING, 0.135, cut="winecup", label="wine"),
    ), "tint"),
    Kind("plate", "plate", "plates", (
        _mesh("katorlegaz", "dinner-plate", 0.27),
        _mesh("katorlegaz", "bread-plate", 0.20),
        _mesh("scopia", SETTING, 0.25, cut="dish", label="dish", held_out=True),
        _mesh("scopia", "cup", 0.17, cut="plate", label="plate"),
    ), "any"),
    Kind("bowl", "bowl", "bowls", (
        _mesh("katorlegaz", "bowl", 0.20),
        _mesh("scopia", "bowl", 0.17),
        _mesh("scopia", "apples", 0.18, cut="jar", label="bowl"),
        _mesh("scopia", "bowlWithFruits", 0.20, cut="bowl", label="bowl"),
        _mesh("scopia", "bowlWithSalad", 0.19, cut="bowl", label="bowl", held_out=True),
    ), "any"),
    Kind("fork", "fork", "forks", (
        _mesh("blendswap_ccby", "fork", 0.185, "Jay-Artist"),
        _mesh("katorlegaz", PLACE, 0.185, cut="fork", label="fork"),
        _mesh("scopia", SETTING, 0.195, cut="fork_Plane", label="fork", held_out=True),
    )),
    Kind("knife", "knife", "knives", (
        _mesh("blendswap_ccby", "knife", 0.215, "Jay-Artist", rest="flat"),
        _mesh("blendswap_ccby", "kitchenKnife", 0.275, "Jay-Artist", rest="flat"),
        _mesh("katorlegaz", PLACE, 0.21, cut="table_knife", rest="flat", label="knife"),
        _mesh("scopia", SETTING, 0.215, cut="fork.002", rest="flat", label="knife"),
        _mesh("scopia", "kitchenKnifeStandSet", 0.26, cut="knife2", rest="flat", label="large"),
        _mesh("scopia", "kitchenKnifeStandSet", 0.23, cut="knife.003", rest="flat", label="small"),
        _mesh("blendswap_cc0", "knifeStandSwap", 0.29, "PrinterKiller", "Plane.007 Plane.008", "flat", label="third"),
        _mesh("blendswap_cc0", "knifeStandSwap", 0.33, "PrinterKiller", "Plane.009 Plane.010", "flat", label="broad",
              held_out=True),
    )),
    Kind("spoon", "spoon", "spoons", (
        _mesh("blendswap_ccby", "spoon", 0.18, "Jay-Artist"),
        _mesh("katorlegaz", PLACE, 0.15, cut="teaspoon", label="spoon"),
        _mesh("scopia", SETTING, 0.195, cut="spoon", label="spoon", held_out=True),
    )),
    Kind("scissors", "pair of scissors", "pairs of scissors", (
        _mesh("blendswap_cc0", "cissors_swap", 0.17, "Celticluis"),
    ), "any"),
    Kind("teapot", "teapot", "teapots", (
        _mesh("scopia", "teapot", 0.22),
        _mesh("blendswap_ccby", "boiler", 0.22, "Jay-Artist"),
    ), "tint"),
    Kind("trash_can", "trash can", "trash cans", (
        _mesh("blendswap_cc0", "dustbin", 0.25, "Ndakasha"),
        _mesh("katorlegaz", "park-trashcan", 0.24),
        _mesh("katorlegaz", "residential-trashcan", 0.25),
        _mesh("katorlegaz", "bullet-trash-can", 0.29, held_out=True),
    ), "any"),
    Kind("sponge", "sponge", "sponges", (_primitive("sponge", 0.11), _primitive("plain_sponge", 0.125)), "tint"),
    Kind("spray_bottle", "spray bottle", "spray bottles", (
        _mesh("katorlegaz", "spray-bottle", 0.26, lies=True),
    ), "any"),
    Kind("soap_dispenser", "soap dispenser", "soap dispensers", (
        _mesh("scopia", "com_bath2_soap", 0.18),
        _mesh("scopia", "com_bath2_jabon_pijo", 0.145),
        _mesh("scopia", "com_bath", 0.17),
    ), "any"),
    Kind("medicine_bottle", "medicine", "medicines", (
        _mesh("scopia", "medicoscopia_bottle", 0.087, lies=True),
        _mesh("scopia", "medicoscopia_bottle2", 0.135, lies=True, held_out=True),
        _mesh("scopia", "medicoscopia_box", 0.109, lies=True),
    ), "tint"),
    Kind("phone", "phone", "phones", (
        _mesh("blendswap_cc0", "iphone", 0.145, "Bheema", rest="flat"),
        _mesh("blendswap_ccby", "mobile", 0.125, "Songkro"),
    )),
    Kind("remote_control", "remote control", "remote controls", (_mesh("scopia", "tv-remote-control", 0.18),)),
    Kind("keys", "bunch of keys", "bunches of keys", (_mesh("scopia", "keys", 0.115),)),
    Kind("glasses", "pair of glasses", "pairs of glasses", (
        _mesh("scopia", "glasses", 0.15),
        _mesh("blendswap_ccby", "sunglasses", 0.155, "Krabz"),
    ), "any"),
    Kind("book", "book", "books", (
        _mesh("blendswap_ccby", "book", 0.281, "Jay-Artist"),
        _primitive("thick_book", 0.215),
        _primitive("thin_book", 0.240),
        _primitive("pocket_book", 0.175, held_out=True),
    ), "any"),
    Kind("flashlight", "flashlight", "flashlights", (_mesh("katorlegaz", "flashlight", 0.17, rest="flat"),), "any"),
    Kind("hammer", "hammer", "hammers", (_mesh("scopia", "marteau", 0.31, rest="flat"),)),
    Kind("screwdriver", "screwdriver", "screwdrivers", (_mesh("scopia", "tournevis", 0.235, rest="flat"),), "any"),
    Kind("headphones", "pair of headphones", "pairs of headphones", (
        _mesh("blendswap_cc0", "headphones", 0.20, "Alaskaman", rest="flat"),
    ), "any"),
    Kind("camera", "camera", "cameras", (
        _mesh("scopia", "basic_camera", 0.097),
        _mesh("scopia", "reflex_camera", 0.145),
    )),
    Kind("potted_plant", "potted plant", "potted plants", (
        _mesh("blendswap_cc0", "littlePlant", 0.24, "Rameshrj"),
        _mesh("blendswap_cc0", "cactus", 0.215, "Evivivi"),
        _mesh("blendswap_ccby", "succulentPlant", 0.137, "Nmn9"),
        _mesh("blendswap_ccby", "luckyBamboo", 0.30, "Renderbob", held_out=True),
    )),
    Kind("teddy_bear", "teddy bear", "teddy bears", (
        _mesh("blendswap_cc0", "teddyBear", 0.25, "Manitislate"),
    ), "tint"),
)  # fmt: skip


@cache
def kind_of(identifier: str) -> Kind:
    """Return the kind called ``identifier``; raises ``ValueError`` with the valid names for any other."""
    for kind in KINDS:
        if kind.identifier == identifier:
            return kind
    known = ", ".join(kind.identifier for kind in KINDS)
    raise ValueError(f"There is no kind {identifier!r}; the kinds are {known}.")
