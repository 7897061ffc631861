from triptych.evaluation.report.classification import class_rows

COUNTS = [[8, 1, 1, 0], [0, 3, 3, 0], [0, 0, 0, 0], [0, 0, 0, 5]]


def test_the_worst_class_comes_first_and_one_without_images_not_at_all() -> None:
    rows = class_rows({"confusion": COUNTS}, ["ant", "bee", "cow", "dog"])

    assert [(row.name, row.share, row.images) for row in rows] == [
        ("bee", 0.5, "6"),
        ("ant", 0.8, "10"),
        ("dog", 1.0, "5"),
    ]


def test_classes_name_what_they_are_most_often_confused_with() -> None:
    rows = class_rows({"confusion": COUNTS}, ["ant", "bee", "cow", "dog"])

    assert {row.name: row.confused for row in rows} == {"bee": "cow (3)", "ant": "bee (1)", "dog": ""}
