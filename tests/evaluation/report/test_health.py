from triptych.evaluation.report.health import Finding, findings


def test_what_the_guard_found_is_told_in_its_own_words() -> None:
    told = [
        {"epoch": 2, "last_epoch": 2, "name": "a", "what": "embeddings have collapsed"},
        {"epoch": 1, "last_epoch": 4, "name": "b", "what": "the latent is off"},
    ]

    assert findings({"diagnoses": told}) == [
        Finding("Epoch 2", "embeddings have collapsed"),
        Finding("Epochs 1 to 4", "the latent is off"),
    ]


def test_that_nothing_was_found_is_something_else_than_that_nobody_looked() -> None:
    assert findings({"diagnoses": []}) == []
    assert findings({"test": {}}) is None
