/** What differs between two reports of the API (`docs/api.json`), and which of it breaks users. */
export function compare(before, after) {
  const [breaking, added] = [[], []];
  for (const [name, type] of Object.entries(before)) {
    const now = after[name];
    if (now === undefined) breaking.push(`${name} is gone`);
    else {
      if (now.is !== type.is) breaking.push(`${name} was ${type.is}, and is ${now.is}`);
      for (const [member, signature] of Object.entries(type.members)) {
        const next = now.members[member];
        if (next === signature) continue;
        const change = `${name}: ${signature}${next === undefined ? ' is gone' : ` has become ${next}`}`;
        (next !== undefined && isWider(type, signature, next) ? added : breaking).push(change);
      }
      for (const [member, signature] of Object.entries(now.members)) {
        if (member in type.members) continue;
        // who implements an interface, or hands over props, must add what is required
        (mustBeGiven(now, signature) ? breaking : added).push(`${name}: ${signature}`);
      }
    }
  }
  for (const name of Object.keys(after)) if (!(name in before)) added.push(`${name}, ${after[name].is}`);
  return { breaking, added };
}

/** Whether only a property that users give has become optional. */
function isWider({ is }, before, after) {
  return is.startsWith('interface') && after.replace('?:', ':') === before;
}

function mustBeGiven({ is }, signature) {
  if (signature.startsWith('abstract ')) return true;
  return is.startsWith('interface') && !/^(readonly )?\w+\?/.test(signature);
}
