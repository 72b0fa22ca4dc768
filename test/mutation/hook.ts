import { readdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Stage } from 'aws-cdk-lib';
import { CloudAssembly } from 'aws-cdk-lib/cx-api';
import { mutantsOf, mutate } from './mutants';

/** What is broken while a test file runs. */
export interface Breaking {
  readonly file: string;
  /** The id of the mutant; nothing is broken without. */
  readonly mutant?: string;
  /** The mutants that a synthesized template had a place for. */
  readonly places: Set<string>;
  /** How many apps the file has synthesized. */
  synthesized: number;
}

/** An app that a file has synthesized before: its templates are used again, for no mutant changes what makes them. */
interface Synthesized {
  readonly folder: string;
  readonly constructs: number;
  /** By file name. */
  readonly templates: ReadonlyMap<string, string>;
}

let breaking: Breaking | undefined;
const known = new Map<string, Synthesized>();

/** Breaks, from now on, every template that is synthesized. */
export function breakWith(next: Breaking | undefined): void {
  breaking = next;
}

/** The one place through which tests come to templates: `Template.fromStack` and the engine read what `synth` has written. */
export function install(): void {
  const synth = Stage.prototype.synth;
  Stage.prototype.synth = function (this: Stage, options) {
    if (breaking === undefined || this.parentStage !== undefined) return synth.call(this, options);
    const now = breaking;
    const key = `${now.file} ${now.synthesized++}`;
    const constructs = this.node.findAll().length;
    const found = known.get(key);
    const isKnown = found?.constructs === constructs;
    const assembly = isKnown ? undefined : synth.call(this, options);
    const written = isKnown ? found : { folder: assembly?.directory as string, constructs, templates: new Map() };
    if (!isKnown) {
      for (const name of readdirSync(written.folder).filter((name) => name.endsWith('.template.json')))
        (written.templates as Map<string, string>).set(name, readFileSync(join(written.folder, name), 'utf8'));
      if (isOfNobodyElse(written.folder)) known.set(key, written);
    }
    for (const [name, text] of written.templates) {
      const template = JSON.parse(text);
      if (now.mutant === undefined) for (const { id } of mutantsOf(template)) now.places.add(id);
      else if (mutate(template, now.mutant)) now.places.add(now.mutant);
      writeFileSync(join(written.folder, name), JSON.stringify(template));
    }
    return new CloudAssembly(written.folder);
  };
}

/** Whether CDK has made the folder: in one that a test has named it looks for what it has put there. */
function isOfNobodyElse(folder: string): boolean {
  return dirname(realpathSync(folder)) === realpathSync(tmpdir());
}
