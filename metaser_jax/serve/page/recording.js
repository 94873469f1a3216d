// The microphone -> samples.

/** Asks for the microphone; throws an Error for people. heard(level 0 to 1, seconds) is called while it records. */
export async function startRecording(maxSeconds, heard, full) {
  if (!navigator.mediaDevices?.getUserMedia || !window.AudioContext) {
    throw new Error(
      "This browser gives a page the microphone at http://localhost or over https alone. Open this page there " +
      "(ssh -L 8000:localhost:8000 SERVER brings it), or drop files.");
  }
  let stream;
  try {
    // As it is: what browsers do to a voice for calls changes what an emotion sounds like.
    stream = await navigator.mediaDevices.getUserMedia(
      {audio: {echoCancellation: false, noiseSuppression: false, autoGainControl: false}});
  } catch (error) {
    throw new Error(error.name === "NotAllowedError"
      ? "The microphone was not allowed. Allow it for this page in the browser's address bar, or drop files."
      : "No microphone was found. Connect one, or drop files.");
  }
  const context = new AudioContext();
  const parts = [];
  let length = 0;
  let stopped = false;
  const end = async () => {
    stopped = true;
    stream.getTracks().forEach((track) => track.stop());
    await context.close();
  };
  try {
    await context.audioWorklet.addModule("/recorder.js");
    await context.resume();
  } catch (error) {
    await end();
    throw new Error("This browser cannot record here. Drop files instead.");
  }
  const node = new AudioWorkletNode(context, "recorder");
  node.port.onmessage = ({data}) => {
    if (stopped) return;
    parts.push(data);
    length += data.length;
    const peak = data.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);
    // Decibels, -60 to 0: as ears hear it.
    heard(peak > 0 ? Math.max(0, 1 + (20 * Math.log10(peak)) / 60) : 0, length / context.sampleRate);
    if (length / context.sampleRate >= maxSeconds) full();
  };
  context.createMediaStreamSource(stream).connect(node);
  return {
    /** Ends it: {samples, rate}. */
    async stop() {
      const rate = context.sampleRate;
      await end();
      const samples = new Float32Array(length);
      let at = 0;
      for (const part of parts) {
        samples.set(part, at);
        at += part.length;
      }
      return {samples, rate};
    },
  };
}
