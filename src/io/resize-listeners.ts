// Who wants to know that a disk has another size now.

export class ResizeListeners {
  readonly #listeners = new Set<() => void>();

  add(listener: () => void): Disposable {
    // A listener that is added twice is called twice, and leaves twice.
    const own = () => listener();
    this.#listeners.add(own);
    return { [Symbol.dispose]: () => void this.#listeners.delete(own) };
  }

  notify(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}
