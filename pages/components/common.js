// What the components share; Python puts it before each of their scripts.
const views = new WeakMap()

// The view of a component on the page: made once by `mount`, and told by which way the server hears of it.
function viewOf({ parentElement, setStateValue }, mount) {
  const view = views.get(parentElement) ?? mount(parentElement)
  views.set(parentElement, view)
  view.send = setStateValue
  return view
}

// Draw once before the next frame, however often it is asked for until then.
function atNextFrame(view, draw) {
  if (view.waiting) return
  view.waiting = true
  requestAnimationFrame(() => {
    view.waiting = false
    draw(view)
  })
}

// The bytes at an address of the server; null, and a sentence in `view.said`, where they cannot be had.
async function fetched(view, address, what) {
  try {
    const answer = await fetch(address)
    if (!answer.ok) throw new Error(String(answer.status))
    return new Uint8Array(await answer.arrayBuffer())
  } catch (error) {
    view.said.textContent = `${what} could not be fetched (${error.message}). Reload the page.`
    return null
  }
}

// What Python sends as text in base 64.
function bytesOf(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))
}

// What the server tells a component while its script goes on, by channel: the last of each, and who listens.
const feeds = (globalThis.vitrineFeeds ??= new Map())

function feedOf(channel) {
  if (!feeds.has(channel)) feeds.set(channel, { told: null, listeners: new Set() })
  return feeds.get(channel)
}

function broadcast(channel, told) {
  const feed = feedOf(channel)
  feed.told = told
  feed.listeners.forEach((listener) => listener(told))
}

// Let `view` hear of one channel, and no more of the one before; what it was told already comes at once.
function listenTo(view, channel, heard) {
  if (view.channel !== channel) {
    if (view.channel) feedOf(view.channel).listeners.delete(view.heard)
    view.channel = channel
    view.heard = heard
    feedOf(channel).listeners.add(heard)
    heard(feedOf(channel).told)
  }
}

// Whether `asked`, the server's state, is news: an answer to what was sent, however late, must not take back what the
// hand has done since.
function isNews(view, asked) {
  const text = JSON.stringify(asked)
  const answered = (view.pending ??= []).indexOf(text)
  const news = answered < 0 && text !== view.known
  view.pending = news ? [] : view.pending.slice(answered + 1)
  if (news) clearTimeout(view.timer)
  view.known = text
  return news
}

// Tell the server of `state` as `name` when the hand has rested for `wait` ms.
function sendAtRest(view, name, state, wait = 250) {
  clearTimeout(view.timer)
  view.timer = setTimeout(() => {
    view.pending.push(JSON.stringify(state))
    view.send(name, structuredClone(state))
  }, wait)
}
