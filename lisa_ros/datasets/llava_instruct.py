"""Visual question answering: LLaVA-Instruct-150k, whole conversations about COCO images, without masks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lisa_ros.answers import Turn
from lisa_ros.datasets.annotation_files import field, malformed, read_json
from lisa_ros.datasets.images import require_file
from lisa_ros.datasets.records import AnnotatedImage, ItemError

IMAGE_TOKEN = "<image>"
ASKING, ANSWERING = "human", "gpt"


@dataclass(frozen=True, slots=True)
class Dialogue:
    """One entry of the file: the image and who says what about it, in order."""

    name: str
    image: str
    said: tuple[tuple[str, str], ...]


@dataclass(slots=True, eq=False)
class LlavaInstructDataset:
    """One image and one conversation an entry; an image may come several times."""

    name: str
    image_folder: Path
    dialogues: tuple[Dialogue, ...]

    def __len__(self) -> int:
        return len(self.dialogues)

    def __getitem__(self, index: int) -> AnnotatedImage:
        """Return one conversation; raises ``ItemError`` where its image is missing or nobody answers."""
        dialogue = self.dialogues[index]
        path = self.image_folder / dialogue.image
        require_file(path)
        return AnnotatedImage(dialogue.name, path, conversations=(_turns(dialogue),))


def open_llava_instruct(name: str, root: Path) -> LlavaInstructDataset:
    """Open ``llava_dataset/llava_instruct_150k.json``; its images are those of ``coco/train2017``."""
    path = root / "llava_dataset" / "llava_instruct_150k.json"
    entries = read_json(path)
    if not isinstance(entries, list) or not entries:
        raise malformed(path, "the file holds no list of conversations")
    dialogues = tuple(_dialogue(entry, path, f"entry {index}") for index, entry in enumerate(entries))
    return LlavaInstructDataset(name, root / "coco" / "train2017", dialogues)


def _dialogue(entry: Any, path: Path, place: str) -> Dialogue:
    name = str(field(entry, "id", (str, int), path, place))
    image = field(entry, "image", str, path, place)
    said = []
    for sentence in field(entry, "conversations", list, path, place):
        speaker = field(sentence, "from", str, path, f"a sentence of {place}")
        said.append((speaker, _without_image_token(field(sentence, "value", str, path, f"a sentence of {place}"))))
    return Dialogue(name, image, tuple(said))


def _without_image_token(text: str) -> str:
    """Take the image's place out, as the reference does before it puts it first; other text stays to the letter."""
    return text.replace(IMAGE_TOKEN, "").strip() if IMAGE_TOKEN in text else text


def _turns(dialogue: Dialogue) -> tuple[Turn, ...]:
    """Pair questions and answers; an answer before the first question is left out, as in the reference."""
    said = dialogue.said[1:] if dialogue.said and dialogue.said[0][0] == ANSWERING else dialogue.said
    speakers = [speaker for speaker, _ in said]
    if not said or speakers != [ASKING, ANSWERING] * (len(said) // 2):
        raise ItemError(
            f"The conversation {dialogue.name!r} is spoken by {', '.join(speakers) or 'nobody'}; "
            f"{ASKING} and {ANSWERING} must take turns and {ANSWERING} must end it."
        )
    return tuple(Turn(said[index][1], said[index + 1][1]) for index in range(0, len(said), 2))
