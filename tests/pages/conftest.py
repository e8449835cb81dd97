"""Pages under test start from what a server has found out once, as the pages of a server do."""

from __future__ import annotations

from functools import cache

from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import app_test, local_script_runner

# The harness starts Streamlit anew for every single run of a page, which would read the descriptions of all installed
# packages, in search of components, and compile every script: twice as long as most pages take.
manifest_scanner.scan_component_manifests = cache(manifest_scanner.scan_component_manifests)
app_test.ScriptCache = local_script_runner.ScriptCache = cache(app_test.ScriptCache)  # type: ignore[misc]
