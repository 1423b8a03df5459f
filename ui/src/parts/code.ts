// A request as a program, complete and ready to run: curl, Python and Go and Java with their standard libraries alone.

export const languages = ['curl', 'Python', 'Go', 'Java'] as const;
export type Language = (typeof languages)[number];

/** A JSON value as Python writes it. */
export function python(value: unknown, indent = ''): string {
  if (value === null || value === undefined) return 'None';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (typeof value === 'string') return JSON.stringify(value); // its escapes are Python's too
  if (typeof value !== 'object') return String(value);
  const flat = Array.isArray(value)
    ? `[${value.map((v) => python(v)).join(', ')}]`
    : `{${Object.entries(value).map(([k, v]) => `${JSON.stringify(k)}: ${python(v)}`).join(', ')}}`;
  if (indent.length + flat.length <= 100) return flat;
  const deeper = `${indent}    `;
  return Array.isArray(value)
    ? `[\n${value.map((v) => `${deeper}${python(v, deeper)},\n`).join('')}${indent}]`
    : `{\n${Object.entries(value).map(([k, v]) => `${deeper}${JSON.stringify(k)}: ${python(v, deeper)},\n`).join('')}${indent}}`;
}

/** JSON with one tensor on a line. */
export function lines(body: { inputs: unknown[]; parameters?: unknown }): string {
  const tensors = body.inputs.map((t) => `    ${JSON.stringify(t)}`).join(',\n');
  const { inputs: _, ...rest } = body;
  const more = Object.entries(rest).filter(([, v]) => v !== undefined).map(([k, v]) => `,\n  ${JSON.stringify(k)}: ${JSON.stringify(v)}`).join('');
  return `{\n  "inputs": [\n${tensors}\n  ]${more}\n}`;
}

export function program(language: Language, url: string, body: { inputs: unknown[]; parameters?: unknown }): string {
  const json = lines(body);
  switch (language) {
    case 'curl':
      return `curl -s ${shell(url)} \\\n  -H 'content-type: application/json' \\\n  -d ${shell(json)}`;
    case 'Python':
      return `import json
import urllib.request

body = ${python(body)}

request = urllib.request.Request(
    ${JSON.stringify(url)},
    data=json.dumps(body).encode(),
    headers={"content-type": "application/json"},
)
with urllib.request.urlopen(request) as answer:
    for output in json.load(answer)["outputs"]:
        print(output["name"], output["data"])`;
    case 'Go':
      return `package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"strings"
)

const body = ${json.includes('`') ? JSON.stringify(json) : `\`${json}\``}

func main() {
	res, err := http.Post(${JSON.stringify(url)}, "application/json", strings.NewReader(body))
	if err != nil {
		log.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(res.Body)
		log.Fatalf("%s: %s", res.Status, text)
	}
	var answer struct {
		Outputs []struct {
			Name string          \`json:"name"\`
			Data json.RawMessage \`json:"data"\`
		} \`json:"outputs"\`
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		log.Fatal(err)
	}
	for _, output := range answer.Outputs {
		fmt.Println(output.Name, string(output.Data))
	}
}`;
    case 'Java':
      return `import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;

public class Predict {
    static final String BODY = """
${json.replace(/\\/g, '\\\\').replace(/"""/g, '\\"""').split('\n').map((l) => `        ${l}`).join('\n')}
        """;

    public static void main(String[] args) throws Exception {
        var request = HttpRequest.newBuilder(URI.create(${JSON.stringify(url)}))
            .header("content-type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofString(BODY))
            .build();
        var answer = HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString());
        if (answer.statusCode() != 200) {
            throw new RuntimeException(answer.statusCode() + ": " + answer.body());
        }
        System.out.println(answer.body());
    }
}`;
  }
}

const shell = (text: string) => (/^[\w:/.@%+=-]+$/.test(text) ? text : `'${text.replace(/'/g, `'\\''`)}'`);

/** How each is run, once it is in a file. */
export const howToRun: Record<Language, string> = { curl: 'in a shell', Python: 'python predict.py', Go: 'go run predict.go', Java: 'java Predict.java' };
