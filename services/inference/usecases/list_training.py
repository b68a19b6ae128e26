"""List training jobs; a model that nobody knows is said to be unknown, not to have no jobs."""

from dataclasses import replace

from services.inference.domain.registry import plain_name
from services.inference.domain.training_page import JobPage, JobQuestion
from services.inference.usecases.serve_models import ServeModels
from services.inference.usecases.training_board import TrainingBoard


class ListTraining:
    """Reads the board."""

    def __init__(self, board: TrainingBoard, served: ServeModels) -> None:
        self._board, self._served = board, served

    async def __call__(self, question: JobQuestion) -> JobPage:
        """A page of jobs, also of a model that has been deleted since; raises UnknownModel, InvalidArgument."""
        model = plain_name(question.model)
        if model and not self._board.knows_of(model):
            await self._served.status(model)
        return self._board.page(replace(question, model=model))
