"""The end of a start: nodes run from here on."""

from __future__ import annotations

from kedro.framework.hooks import hook_impl

from seqtune.plugins import garbage_collection


class StartHooks:
    @hook_impl(trylast=True)  # after the others, who import most
    def before_pipeline_run(self) -> None:
        garbage_collection.resume()
