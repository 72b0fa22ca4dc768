interface PublicType {
  readonly is: string;
  readonly members: Readonly<Record<string, string>>;
}
type Report = Readonly<Record<string, PublicType>>;
export function compare(before: Report, after: Report): { readonly breaking: string[]; readonly added: string[] };
