// Runs in a worker: the WebSocket itself. Reading a listing of thousands takes a while, and keeps nobody waiting here.

const SLICE = 250; // records that are handed over at once

self.onmessage = ({ data: { url, protocols } }) => {
  const socket = new WebSocket(url, protocols);
  socket.onopen = () => postMessage({ kind: "open" });
  socket.onclose = () => postMessage({ kind: "close" });
  socket.onmessage = ({ data }) => {
    const frames = JSON.parse(data);
    for (const frame of Array.isArray(frames) ? frames : [frames]) handOver(frame);
  };
};

function handOver(frame) {
  const agents = frame.data?.agents;
  if (!Array.isArray(agents)) return postMessage({ kind: "frame", frame });
  for (let at = 0; at < agents.length; at += SLICE) postMessage({ kind: "agents", agents: agents.slice(at, at + SLICE) });
  postMessage({ kind: "listing", frame: { ...frame, data: { ...frame.data, agents: [] } } });
}
