"""Launches Vitrine: `streamlit run app.py`. The navigation is in `pages/navigation.py`.

The script behind the app is not this file, because Streamlit treats a folder called `pages/` beside the script as an
older kind of app until the first session has run, and then opens the first deep link without navigation.
"""

import streamlit as st
from starlette.middleware import Middleware

from core.paths import CHECKOUT
from pages.shared.browser import BrowserCookie
from pages.shared.compressed import Compressed
from pages.shared.no_delay import answer_at_once
from pages.shared.splash import Splash
from pages.shared.start import Visits, heavy_imports

heavy_imports()
answer_at_once()
app = st.App(
    CHECKOUT / "pages" / "navigation.py",
    middleware=[Middleware(each) for each in (Compressed, BrowserCookie, Visits, Splash)],
)
