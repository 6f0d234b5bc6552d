"""The study file as validated models."""

from windtunnel.config.dump import to_toml
from windtunnel.config.load import load_study_file, parse_study, study_digest
from windtunnel.config.study import StudyFile

__all__ = ["StudyFile", "load_study_file", "parse_study", "study_digest", "to_toml"]
