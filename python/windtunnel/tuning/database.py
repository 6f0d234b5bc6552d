"""Optuna's database, written a cohort at a time.

As Optuna writes it, every trial is a transaction of some forty statements: a cohort of 64 keeps a
processor busy for 0.7 s. Here a cohort is one transaction, and its rows are inserted at once.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from optuna.distributions import distribution_to_json
from optuna.storages import RDBStorage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from optuna.study import Study
    from optuna.trial import FrozenTrial


class CohortDatabase:
    """A database of Optuna's schema, whichever its kind.

    Parameters
    ----------
    url : str
        As SQLAlchemy has it.
    """

    def __init__(self, url: str) -> None:
        from sqlalchemy.pool import NullPool  # noqa: PLC0415 - 0.2 s, and only a database needs it

        # No pool: a connection ends with its call, so none outlives the study, is shared with a
        # forked process or has died unseen while a cohort trained.
        self.storage = RDBStorage(url, engine_kwargs={"poolclass": NullPool})

    def add(self, study: Study, trials: Sequence[FrozenTrial]) -> None:
        """Add finished trials to a study, all or none."""
        from optuna.storages._rdb import models  # noqa: PLC0415 - imports SQLAlchemy
        from sqlalchemy import insert  # noqa: PLC0415
        from sqlalchemy.orm import Session  # noqa: PLC0415

        study_id = study._study_id
        with Session(self.storage.engine) as session, session.begin():
            # Locks the study's row, so that numbers stay true until they are written.
            models.StudyModel.find_or_raise_by_id(study_id, session, for_update=True)
            # The last one, and not their count, which would go through all of them.
            own = session.query(models.TrialModel.number).filter_by(study_id=study_id)
            last = own.order_by(models.TrialModel.trial_id.desc()).limit(1).scalar()
            rows = [
                models.TrialModel(
                    study_id=study_id,
                    number=number,
                    state=trial.state,
                    datetime_start=trial.datetime_start,
                    datetime_complete=trial.datetime_complete,
                )
                for number, trial in enumerate(trials, start=0 if last is None else last + 1)
            ]
            session.add_all(rows)
            session.flush()  # they have their keys now
            for model, parts in (
                (models.TrialParamModel, _params),
                (models.TrialUserAttributeModel, _attributes),
                (models.TrialValueModel, _values),
                (models.TrialIntermediateValueModel, _reports),
            ):
                found = [
                    {"trial_id": row.trial_id, **part}
                    for row, trial in zip(rows, trials, strict=True)
                    for part in parts(trial, model)
                ]
                if found:
                    session.execute(insert(model), found)


def _params(trial: FrozenTrial, _model: Any) -> Iterator[dict[str, Any]]:
    for name, value in trial.params.items():
        kind = trial.distributions[name]
        yield {
            "param_name": name,
            "param_value": float(kind.to_internal_repr(value)),
            "distribution_json": distribution_to_json(kind),
        }


def _attributes(trial: FrozenTrial, _model: Any) -> Iterator[dict[str, Any]]:
    for name, value in trial.user_attrs.items():
        yield {"key": name, "value_json": json.dumps(value)}


def _values(trial: FrozenTrial, model: Any) -> Iterator[dict[str, Any]]:
    for objective, value in enumerate(trial.values or ()):
        stored, sort = model.value_to_stored_repr(value)
        yield {"objective": objective, "value": stored, "value_type": sort}


def _reports(trial: FrozenTrial, model: Any) -> Iterator[dict[str, Any]]:
    for step, value in trial.intermediate_values.items():
        stored, sort = model.intermediate_value_to_stored_repr(value)
        yield {
            "step": step,
            "intermediate_value": stored,
            "intermediate_value_type": sort,
        }
