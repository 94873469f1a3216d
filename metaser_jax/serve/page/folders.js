// What was dropped or chosen: files, and folders with all that is in them.

/** Files as [file, path, place]: the path with its folders, and the only folder that all came in, "" without one. */
export async function dropped(transfer) {
  // Asked for at once: after the event nothing is there any more.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) return single(transfer.files);
  const found = [];
  for (const entry of entries) await collect(entry, found);
  return placed(found);
}

/** Of an <input>; of one for a folder, with its paths. */
export function chosen(files) {
  const paths = [...files].map((file) => [file, file.webkitRelativePath]);
  return paths.some(([, path]) => path) ? placed(paths) : single(files);
}

const single = (files) => [...files].map((file) => [file, file.name, ""]);

function placed(found) {
  const tops = new Set(found.map(([, path]) => (path.includes("/") ? path.slice(0, path.indexOf("/")) : "")));
  const place = tops.size === 1 ? [...tops][0] : "";
  return found.sort(([, a], [, b]) => (a < b ? -1 : 1)).map(([file, path]) => [file, path, place]);
}

async function collect(entry, found) {
  if (entry.isFile) {
    const file = await new Promise((done, failed) => entry.file(done, failed));
    found.push([file, entry.fullPath.replace(/^\//, "")]);
    return;
  }
  const reader = entry.createReader();
  // A hundred or so at a time.
  for (;;) {
    const some = await new Promise((done, failed) => reader.readEntries(done, failed));
    if (!some.length) return;
    for (const one of some) await collect(one, found);
  }
}
