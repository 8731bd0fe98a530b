"""Tables as Markdown: the cells and sides asked for."""

from minituner.reporting import markdown


def test_a_row_is_its_cells_between_bars():
    assert markdown.row(["a", 1, 2.5]) == "| a | 1 | 2.5 |"


def test_columns_are_aligned_by_their_letters_and_to_the_left_where_those_end():
    lines = markdown.table(["a", "b", "c", "d"], [[1, 2, 3, 4]], "lrr")
    assert lines == ["| a | b | c | d |", "|---|--:|--:|---|", "| 1 | 2 | 3 | 4 |"]


def test_a_table_without_rows_has_its_head_and_its_rule():
    assert markdown.table(["a"], iter(())) == ["| a |", "|---|"]
