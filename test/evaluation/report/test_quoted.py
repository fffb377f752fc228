from __future__ import annotations

import pytest

from lisa_ros.evaluation.report.quoted import quoted_table


@pytest.mark.parametrize(("benchmark", "methods"), [("reasonseg", 15), ("refcoco", 9)])
def test_every_method_has_a_figure_for_every_column(benchmark, methods):
    table = quoted_table(benchmark)
    assert len(table.rows) == methods and "Lai et al." in table.source
    assert len(set(table.columns)) == len(table.columns) == 8
    for figures in table.rows.values():
        assert len(figures) == 8 and all(figure is None or 0 < figure < 100 for figure in figures)


def test_the_figures_that_the_paper_speaks_of_are_there():
    table = quoted_table("reasonseg")
    columns = [(column.split, column.group, column.score) for column in table.columns]
    assert table.rows["LISA-13B-LLaVA1.5 (ft)"][columns.index(("test", "", "gIoU"))] == 61.3
    assert table.rows["SEEM"][columns.index(("val", "", "cIoU"))] == 21.2
    assert table.rows["LISA-7B"][columns.index(("test", "short", "gIoU"))] == 37.6


def test_of_the_tabletop_nobody_published_anything():
    assert quoted_table("tabletop") is None
