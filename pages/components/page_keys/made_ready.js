// Parts of the frontend that other pages are drawn with, fetched and compiled while nobody waits: pages/shared/frontend.py.
const STILL_MS = 300
const MOVES = ["pointermove", "pointerdown", "keydown", "wheel"]

async function makeReady(groups) {
  const frontend = document.querySelector('script[type="module"][src*="/static/js/"]')
  if (!frontend) return
  let moved = -Infinity
  const note = () => { moved = performance.now() }
  for (const kind of MOVES) document.addEventListener(kind, note, { capture: true, passive: true })
  for (const group of groups) {
    // The largest keeps a laptop busy for a quarter of a second: not under somebody's finger.
    do await idle()
    while (performance.now() - moved < STILL_MS)
    await Promise.allSettled(group.map((part) => import(new URL(part, frontend.src))))
  }
  for (const kind of MOVES) document.removeEventListener(kind, note, { capture: true })
}

function idle() {
  return new Promise((resolve) => window.requestIdleCallback ? requestIdleCallback(resolve) : setTimeout(resolve, 200))
}
