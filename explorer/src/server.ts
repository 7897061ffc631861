// What the page sends to a server that runs: a token that only its own page has; and how errors come back.

/** The header by which the server recognises its own page. */
export function tokenHeader(): Record<string, string> {
  return { "X-Triptych-Token": document.querySelector<HTMLMetaElement>("meta[name=token]")?.content ?? "" };
}

/** Why a request failed, in the server's words. */
export async function reason(response: Response): Promise<string> {
  const text = await response.text().catch(() => "");
  try {
    return String((JSON.parse(text) as { error: unknown }).error).slice(0, 400);
  } catch {
    return text.slice(0, 400) || `The server answered ${response.status}.`;
  }
}
