"""The recipes that `lisa train` knows: each has settings of its own and a trainer that the loop runs for."""

from __future__ import annotations

from pathlib import Path

from lisa_ros.training.lisa_settings import LisaSettings
from lisa_ros.training.lisa_trainer import LisaTrainer
from lisa_ros.training.settings import SettingsError, build_settings, read_yaml
from lisa_ros.training.tabletop_settings import TabletopSettings
from lisa_ros.training.tabletop_trainer import TabletopTrainer

RECIPES: dict[str, type[TabletopSettings] | type[LisaSettings]] = {"tabletop": TabletopSettings, "lisa": LisaSettings}
DEFAULT = "tabletop"


def read_recipe(path: Path) -> TabletopSettings | LisaSettings:
    """Return the settings in a YAML file, of the recipe that it names; raises ``SettingsError`` with one sentence."""
    values = read_yaml(path)
    recipe = values.pop("recipe", DEFAULT)
    if recipe not in RECIPES:
        raise SettingsError(f"{path}, recipe is {recipe!r}; choose one of {', '.join(RECIPES)}.")
    return build_settings(RECIPES[recipe], values, str(path))


def make_trainer(settings: TabletopSettings | LisaSettings, pretrained: Path) -> TabletopTrainer | LisaTrainer:
    """Return the trainer of a recipe; ``pretrained`` is where downloaded parts are kept, for recipes that need any."""
    if isinstance(settings, LisaSettings):
        return LisaTrainer(settings)
    return TabletopTrainer(settings, pretrained)
