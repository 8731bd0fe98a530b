"""For each mistake that a check names: what to replace in the solution to make it."""

from tests.labs import answers_00, answers_01, answers_02_03

WRONG = {"00": answers_00.WRONG, "01": answers_01.WRONG, **answers_02_03.WRONG}
