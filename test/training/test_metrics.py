from __future__ import annotations

import pytest

from lisa_ros.training.loss_plot import write_loss_plot
from lisa_ros.training.metrics import CsvTable, left_out, read_rows
from lisa_ros.training.settings import TrainingError


@pytest.fixture
def path(tmp_path):
    return tmp_path / "table.csv"


def fill(path, first_step, *rows):
    table = CsvTable(path, first_step)
    for step, values in rows:
        table.add(step, values)
    table.close()


def test_numbers_are_read_back_exactly(path):
    value = 0.1 + 0.2
    fill(path, 0, (0, {"loss": value}))
    assert float(read_rows(path)[0]["loss"]) == value


def test_a_resumed_table_drops_the_rows_that_are_run_again(path):
    fill(path, 0, (0, {"a": 1}), (1, {"a": 2}), (2, {"a": 3}))
    fill(path, 2, (2, {"a": 4}))
    assert [(row["step"], row["a"]) for row in read_rows(path)] == [("0", "1"), ("1", "2"), ("2", "4")]
    fill(path, 0, (0, {"b": 5}))
    assert read_rows(path) == [{"step": "0", "b": "5"}]


def test_a_row_that_a_kill_cut_off_does_not_count(path):
    fill(path, 0, (0, {"a": 1}), (1, {"a": 2}))
    path.write_text(path.read_text() + "2,")
    assert [row["step"] for row in read_rows(path)] == ["0", "1"]


def test_a_new_column_leaves_earlier_rows_without_a_value(path):
    fill(path, 0, (0, {"a": 1}), (1, {"a": 2, "late": 3}))
    fill(path, 2, (2, {"late": 4}))
    assert [(row["a"], row["late"]) for row in read_rows(path)] == [("1", ""), ("2", "3"), ("", "4")]


def test_another_table_is_refused(path):
    path.write_text("name,value\nx,1\n")
    with pytest.raises(TrainingError, match=r"table\.csv is not a table of training steps"):
        CsvTable(path, 3)


def test_losses_that_come_and_go_are_drawn(path, tmp_path):
    rows = [(0, {"a": 1.0, "lr": 0.1}), (1, {"a": 0.5, "b": 0.0, "lr": 0.1}), (2, {"b": 2.0, "lr": 0.0})]
    fill(path, 0, *rows)
    write_loss_plot(path, tmp_path / "plot.png", ["a", "b"])
    assert (tmp_path / "plot.png").read_bytes()[1:4] == b"PNG"
    assert not list(tmp_path.glob("*.part"))


def test_what_was_left_out_is_said_in_sentences(tmp_path):
    fill(tmp_path / "run.csv", 0, (0, {"cut_conversations": 0}), (1, {"cut_conversations": 2, "cut_masks": 1}))
    fill(tmp_path / "run_skipped.csv", 0, (1, {"source": "a", "cause": "b"}), (1, {"source": "a", "cause": "c"}))
    first, second = left_out(tmp_path, "run")
    assert first == f"2 samples could not be used; {tmp_path / 'run_skipped.csv'} says why."
    assert second == "2 conversations were longer than max_length and cut, 1 masks with them."
    assert left_out(tmp_path, "other") == []
