// Not to be seen: hands on to a component that is on the page already what became known since it was drawn.
export default function ({ data }) {
  broadcast(data.channel, data.told)
}
