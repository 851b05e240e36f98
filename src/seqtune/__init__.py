"""seqtune: from raw sequences to tuned, verified predictions."""

import os

__version__ = "0.1.0"

# Kedro's plug-ins report usage over the network at start, which takes 10 s on a closed one.
# This module is imported before any of them is set up.
for _switch in ("KEDRO_DISABLE_TELEMETRY", "DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY"):
    os.environ.setdefault(_switch, "true")
