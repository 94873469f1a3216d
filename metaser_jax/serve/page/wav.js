// Samples -> a WAV file, and files that only the browser can read -> samples.

/** Float32Array in [-1, 1] -> Blob, 16-bit PCM, mono. */
export function wavOf(samples, rate) {
  const view = new DataView(new ArrayBuffer(44 + 2 * samples.length));
  const text = (at, word) => [...word].forEach((c, i) => view.setUint8(at + i, c.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, 36 + 2 * samples.length, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, rate, true);
  view.setUint32(28, 2 * rate, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  text(36, "data");
  view.setUint32(40, 2 * samples.length, true);
  for (let i = 0; i < samples.length; i++) {
    const sample = Math.max(-1, Math.min(1, samples[i]));
    view.setInt16(44 + 2 * i, Math.round(sample * 32767), true);
  }
  return new Blob([view.buffer], {type: "audio/wav"});
}

const RATE = 44100;

/** A file that the server does not read -> Blob, WAV; throws an Error for people. */
export async function converted(file, maxSeconds) {
  let audio;
  try {
    audio = await new OfflineAudioContext(1, 1, RATE).decodeAudioData(await file.arrayBuffer());
  } catch {
    throw new Error("Neither the server nor this browser can read it. Convert it to .wav, .flac, .mp3 or .ogg.");
  }
  if (audio.duration > maxSeconds) {
    throw new Error(`${Math.round(audio.duration)} s long, expected at most ${maxSeconds} s. Cut it into parts.`);
  }
  const mono = new Float32Array(audio.length);
  for (let channel = 0; channel < audio.numberOfChannels; channel++) {
    const samples = audio.getChannelData(channel);
    for (let i = 0; i < samples.length; i++) mono[i] += samples[i] / audio.numberOfChannels;
  }
  return wavOf(mono, RATE);
}
