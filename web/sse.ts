// SPDX-License-Identifier: Apache-2.0
// Server-sent events out of the text of a stream (WHATWG HTML 9.2.6), however it is split.
// EventSource itself cannot show a token, nor say why the server refused.

export interface ServerEvent {
  name: string;
  id: string;
  data: string;
}

export class EventReader {
  lastId = "";
  retryMs: number | undefined;
  private rest: string[] = []; // of a line that has not ended
  private restChars = 0;
  private afterReturn = false; // a CR ended the last line: an LF now belongs to it
  private id: string | undefined;
  private name = "";
  private data: string[] = [];

  constructor(
    private readonly onEvent: (event: ServerEvent) => void,
    private readonly onComment: (text: string) => void,
    private readonly maxChars = 5 << 20,
  ) {}

  // Throws when an event is longer than `maxChars`.
  feed(text: string): void {
    if (text === "") return;
    const followsReturn = this.afterReturn;
    this.afterReturn = text.endsWith("\r");
    if (followsReturn && text.startsWith("\n")) text = text.slice(1);
    // A document of a fleet comes in many pieces: what is there is not looked through again.
    const lines = text.split(/\r\n|\r|\n/);
    const last = lines.pop() as string;
    if (lines.length > 0) {
      lines[0] = this.rest.join("") + lines[0];
      this.rest = [];
      this.restChars = 0;
    }
    this.rest.push(last);
    this.restChars += last.length;
    for (const line of lines) this.line(line);
    const size = this.data.reduce((sum, part) => sum + part.length, this.restChars);
    if (size > this.maxChars) throw new Error("an event is too long");
  }

  private line(line: string): void {
    if (line === "") return this.dispatch();
    if (line.startsWith(":")) return this.onComment(line.slice(1).trim());
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    let value = colon < 0 ? "" : line.slice(colon + 1);
    if (value.startsWith(" ")) value = value.slice(1);
    if (field === "data") this.data.push(value);
    else if (field === "event") this.name = value;
    else if (field === "id" && !value.includes("\0")) this.id = value;
    else if (field === "retry" && /^\d+$/.test(value)) this.retryMs = Number(value);
  }

  private dispatch(): void {
    if (this.id !== undefined) this.lastId = this.id;
    const data = this.data.join("\n");
    if (this.data.length > 0 && data !== "")
      this.onEvent({ name: this.name || "message", id: this.lastId, data });
    this.name = "";
    this.data = [];
  }
}
