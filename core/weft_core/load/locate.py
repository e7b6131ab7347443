"""Where findings of views are: the file, and the line of the field.

Views know objects and fields only. Their findings are looked up here, when they are shown: where an object stands is no
input of any query, so that a moved line recomputes nothing. A file is parsed once more for the lines of its fields, and
only if there is something to say about it.
"""

from collections.abc import Callable, Iterable, Mapping

from weft_core.load.yaml import load
from weft_core.model.mistake import Path, parse_path
from weft_core.problems import ObjectRef, Problem, Source

Lines = Mapping[Source, Callable[[Path], int]]
"""By the place where a document starts: the line of each of its fields."""


class Locator:
    """Finds places in texts, and remembers those texts' lines for as long as they stay the same."""

    def __init__(self) -> None:
        self._lines: dict[str, tuple[str, Lines]] = {}

    def locate(
        self, problems: Iterable[Problem], sources: Mapping[ObjectRef, Source], texts: Mapping[str, str]
    ) -> tuple[Problem, ...]:
        """The problems with the places of their fields. `sources`: where each object was read; `texts`: by file.

        A problem that has a place keeps it; one about an object that was read nowhere has none.
        """
        self._lines = {file: known for file, known in self._lines.items() if texts.get(file) == known[0]}
        return tuple(problem if problem.source.file else self._located(problem, sources, texts) for problem in problems)

    def _located(self, problem: Problem, sources: Mapping[ObjectRef, Source], texts: Mapping[str, str]) -> Problem:
        source = sources.get(problem.object)
        if source is None:
            return problem
        text = texts.get(source.file)
        line_of = self._lines_of(source.file, text).get(source) if text is not None and problem.path else None
        if line_of is None:
            return problem.at(source)
        return problem.at(Source(file=source.file, line=line_of(parse_path(problem.path))))

    def _lines_of(self, file: str, text: str) -> Lines:
        known = self._lines.get(file)
        if known is None:
            lines = {document.source: document.line_of for document in load(text, file).documents}
            known = self._lines[file] = (text, lines)
        return known[1]
