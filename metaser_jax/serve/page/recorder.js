// Runs in the browser's audio thread: hands on what the microphone hears, about ten times a second.
class Recorder extends AudioWorkletProcessor {
  constructor() {
    super();
    this.block = new Float32Array(4096);
    this.filled = 0;
  }

  process(inputs) {
    const channels = inputs[0];
    if (!channels.length) return true;
    const length = channels[0].length;
    if (this.filled + length > this.block.length) {
      const part = this.block.slice(0, this.filled);
      this.port.postMessage(part, [part.buffer]);
      this.filled = 0;
    }
    for (let i = 0; i < length; i++) {
      let sum = 0;
      for (const channel of channels) sum += channel[i];
      this.block[this.filled + i] = sum / channels.length;
    }
    this.filled += length;
    return true;
  }
}

registerProcessor("recorder", Recorder);
