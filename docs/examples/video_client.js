// SPDX-License-Identifier: Apache-2.0
// A browser's side of a video room, without a library. It works peer to peer and with the server in between alike.

class VideoRoom {
  /** `base` is the bridge's address, `role` "producer" or "consumer"; `token` is sent as a header and spent as a ticket. */
  constructor(base, { workspace, room, role, id, token = "" }) {
    Object.assign(this, { workspace, room, role, id, token });
    this.base = base.replace(/\/$/, "");
    this.path = `/video/workspaces/${encodeURIComponent(workspace)}/rooms/${encodeURIComponent(room)}`;
    this.peers = new Map(); // other participant -> RTCPeerConnection
    this.early = new Map(); // other participant -> candidates that came before the description
    this.heard = [];
    this.failures = [];
    this.stream = null;
    this.iceServers = [];
    this.onStream = () => {};
    this.onMessage = () => {};
  }

  /** Join; resolves with the server's `joined` message. */
  async join() {
    const url = new URL(this.base.replace(/^http/, "ws") + this.path + "/ws");
    if (this.token) url.searchParams.set("ticket", await this.ticket());
    this.socket = new WebSocket(url);
    await new Promise((done, failed) => {
      this.socket.onopen = done;
      this.socket.onerror = () => failed(new Error("the room's socket was refused"));
    });
    const joined = new Promise((done, failed) => {
      this.socket.onmessage = (event) => {
        const message = JSON.parse(event.data);
        if (message.type === "joined") done(message);
        else if (message.type === "error") failed(new Error(message.message));
        this.handle(message).catch((error) => this.failures.push(error));
      };
    });
    this.socket.send(JSON.stringify({ participant_id: this.id, role: this.role }));
    const message = await joined;
    this.iceServers = message.ice_servers || [];
    this.pulse = setInterval(() => this.say({ type: "heartbeat" }), 2000);
    return message;
  }

  /** Send this MediaStream to whoever is in the room, or comes. */
  async publish(stream) {
    this.stream = stream;
    this.say({ type: "stream_started", config: {}, participant_id: this.id });
    // Whoever misses an offer, the server too, says again that they are there.
    for (const other of [...this.peers.keys()]) await this.offerTo(other).catch((error) => this.failures.push(error));
  }

  leave() {
    clearInterval(this.pulse);
    for (const peer of this.peers.values()) peer.close();
    this.peers.clear();
    this.socket.close();
  }

  say(message) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  async post(path, body) {
    const headers = { "Content-Type": "application/json" };
    if (this.token) headers.Authorization = `Bearer ${this.token}`;
    const answer = await fetch(this.base + path, { method: "POST", headers, body: JSON.stringify(body) });
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  }

  async ticket() {
    return (await this.post("/auth/ticket", {})).ticket;
  }

  signal(message) {
    return this.post(`${this.path}/webrtc/signal`, { client_id: this.id, message });
  }

  async handle(message) {
    this.heard.push(message);
    this.onMessage(message);
    const isConsumer = message.role === "consumer" && message.participant_id !== this.id;
    if (this.role === "producer" && message.type === "participant_joined" && isConsumer) {
      await this.offerTo(message.participant_id);
    } else if (message.type === "participant_left") {
      this.forget(message.participant_id);
    } else if (message.type === "webrtc_offer") {
      await this.answerTo(message.from_producer, message.offer);
    } else if (message.type === "webrtc_answer") {
      await this.describe(message.from_consumer, { type: "answer", sdp: message.answer.sdp });
    } else if (message.type === "webrtc_ice") {
      await this.candidate(message.from_producer || message.from_consumer, message.candidate);
    }
  }

  forget(other) {
    this.peers.get(other)?.close();
    this.peers.delete(other);
    this.early.delete(other);
  }

  connect(other) {
    this.forget(other);
    const peer = new RTCPeerConnection({ iceServers: this.iceServers });
    this.peers.set(other, peer);
    const target = this.role === "producer" ? "target_consumer" : "target_producer";
    peer.onicecandidate = ({ candidate }) => {
      if (candidate) this.signal({ type: "ice", candidate: candidate.toJSON(), [target]: other }).catch(() => {});
    };
    peer.ontrack = ({ track, streams }) => this.onStream(streams[0] || new MediaStream([track]));
    return peer;
  }

  async offerTo(other) {
    if (!this.stream) {
      this.peers.set(other, this.peers.get(other) || new RTCPeerConnection());
      return;
    }
    const peer = this.connect(other);
    for (const track of this.stream.getTracks()) peer.addTrack(track, this.stream);
    await peer.setLocalDescription(await peer.createOffer());
    await this.signal({ type: "offer", sdp: peer.localDescription.sdp, target_consumer: other });
  }

  async answerTo(other, offer) {
    const peer = this.connect(other);
    await this.describe(other, offer);
    await peer.setLocalDescription(await peer.createAnswer());
    await this.signal({ type: "answer", sdp: peer.localDescription.sdp, target_producer: other });
  }

  async describe(other, description) {
    const peer = this.peers.get(other);
    if (!peer || (description.type === "answer" && peer.signalingState !== "have-local-offer")) return;
    await peer.setRemoteDescription(description);
    for (const candidate of this.early.get(other) || []) await peer.addIceCandidate(candidate);
    this.early.delete(other);
  }

  async candidate(other, candidate) {
    const peer = this.peers.get(other);
    if (peer?.remoteDescription) await peer.addIceCandidate(candidate);
    else this.early.set(other, [...(this.early.get(other) || []), candidate]);
  }

  /** What the browser says of the pictures: frames sent or decoded, and their size. */
  async stats() {
    const found = { state: [...this.peers.values()].map((peer) => peer.connectionState) };
    for (const peer of this.peers.values()) {
      for (const report of (await peer.getStats()).values()) {
        if (report.type === "inbound-rtp" && report.kind === "video") {
          found.framesDecoded = report.framesDecoded;
          found.size = [report.frameWidth, report.frameHeight];
        } else if (report.type === "outbound-rtp" && report.kind === "video") {
          found.framesSent = (found.framesSent || 0) + report.framesSent;
        }
      }
    }
    return found;
  }
}
