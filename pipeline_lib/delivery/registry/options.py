"""Options of commands that ask a registered model."""

from typing import Annotated

import typer

from pipeline_lib.delivery.registry.ask import CHAMPION

ModelUri = Annotated[
    str | None, typer.Option("--model", help=f"The registered model; default: {CHAMPION}.", show_default=False)
]
TrackingUri = Annotated[
    str | None,
    typer.Option(
        "--tracking-uri", help="MLflow's store; else MLFLOW_TRACKING_URI, else ./mlflow.db.", show_default=False
    ),
]
