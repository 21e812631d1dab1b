/**
 * What this browser remembers between visits. Where it refuses to (private windows, full disks) things are remembered
 * until the page is closed.
 */
const memory = new Map<string, string>();

export function load<T>(key: string): T | undefined {
  try {
    const text = memory.get(key) ?? localStorage.getItem(`collaboard.${key}`);
    return text === null || text === undefined ? undefined : (JSON.parse(text) as T);
  } catch {
    return undefined;
  }
}

export function save(key: string, value: unknown): void {
  const text = JSON.stringify(value);
  try {
    localStorage.setItem(`collaboard.${key}`, text);
    memory.delete(key);
  } catch {
    memory.set(key, text);
  }
}

/** Sets one entry of a record that is kept under key, and forgets the entry that was set longest ago, past limit. */
export function saveEntry<T>(key: string, entry: string, value: T, limit: number): void {
  const { [entry]: _, ...others } = load<Record<string, T>>(key) ?? {};
  save(key, Object.fromEntries([...Object.entries(others).slice(1 - limit), [entry, value]]));
}

export function removeEntry(key: string, entry: string): void {
  const { [entry]: _, ...others } = load<Record<string, unknown>>(key) ?? {};
  save(key, others);
}
