// Writes dist/trusted-documents.json: every GraphQL document of the page, exactly as the page sends it, by its SHA-256.
// The server carries the file with the page, and can be told to execute nothing else.
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { createRequest, formatDocument, stringifyDocument } from '@urql/core';
import { initGraphQLTada } from 'gql.tada';
import ts from 'typescript';

const graphql = initGraphQLTada();

/** The text that the page's client sends of a document: its cache adds `__typename` to what is not a subscription. */
export function sent(document) {
  const { query } = createRequest(document, {});
  const operation = query.definitions.find(({ kind }) => kind === 'OperationDefinition');
  return stringifyDocument(operation.operation === 'subscription' ? query : formatDocument(query));
}

export function sha256(text) {
  return createHash('sha256').update(text).digest('hex');
}

/** The operations that the sources below a folder write as graphql(`…`, [fragments]), each as it is sent, by its hash. */
export function documentsOf(folder) {
  const files = readdirSync(folder, { recursive: true })
    .map((name) => join(folder, name))
    .filter((name) => /\.tsx?$/.test(name) && !/\.(test|d)\.tsx?$/.test(name))
    .sort();
  const modules = new Map(files.map((file) => [file, read(file)]));
  const texts = [];
  for (const [file, { calls }] of modules) {
    for (const name of calls.keys()) {
      const document = made(modules, file, name);
      if (document.definitions[0].kind === 'OperationDefinition') texts.push(sent(document));
    }
  }
  return Object.fromEntries(texts.map((text) => [sha256(text), text]).sort());
}

/** What a source declares by graphql(…), and where its imports come from. */
function read(file) {
  const source = ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.Latest, true);
  const [calls, imports] = [new Map(), new Map()];
  const visit = (node) => {
    if (ts.isImportDeclaration(node)) {
      const names = node.importClause?.namedBindings;
      const from = resolve(dirname(file), node.moduleSpecifier.text);
      if (names && ts.isNamedImports(names)) {
        for (const { name, propertyName } of names.elements) {
          imports.set(name.text, { file: from, name: (propertyName ?? name).text });
        }
      }
    } else if (ts.isCallExpression(node) && ts.isIdentifier(node.expression) && node.expression.text === 'graphql') {
      const { parent } = node;
      const [text, fragments] = node.arguments;
      const listed =
        !fragments || (ts.isArrayLiteralExpression(fragments) && fragments.elements.every(ts.isIdentifier));
      if (!ts.isStringLiteralLike(text) || !listed || !ts.isVariableDeclaration(parent)) {
        const { line } = source.getLineAndCharacterOfPosition(node.getStart());
        throw new Error(`${file}:${line + 1}: write const Name = graphql(\`…\`, [Fragments])`);
      }
      const names = (fragments?.elements ?? []).map(({ text: name }) => name);
      calls.set(parent.name.text, { text: text.text, fragments: names });
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return { calls, imports };
}

/** The document under a name of a module, made as the page makes it. */
function made(modules, file, name) {
  const module = modules.get(file);
  const call = module?.calls.get(name);
  if (!call) {
    const origin = module?.imports.get(name);
    if (!origin) throw new Error(`${file}: where does ${name} come from?`);
    return made(modules, origin.file, origin.name);
  }
  call.document ??= graphql(
    call.text,
    call.fragments.map((fragment) => made(modules, file, fragment)),
  );
  return call.document;
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const web = fileURLToPath(new URL('..', import.meta.url));
  const documents = documentsOf(join(web, 'src'));
  if (Object.keys(documents).length === 0) throw new Error('the page has no documents');
  writeFileSync(join(web, 'dist/trusted-documents.json'), `${JSON.stringify(documents, null, 1)}\n`);
}
