// Parses Power Query text from standard input with Microsoft's parser and prints
// its error. The exit code is 1 if there is one.
// Source: https://github.com/microsoft/powerquery-parser
const fs = require("fs");
const PQP = require("@microsoft/powerquery-parser");

PQP.TaskUtils.tryLexParse(PQP.DefaultSettings, fs.readFileSync(0, "utf8")).then((task) => {
  if (PQP.TaskUtils.isParseStageOk(task)) {
    process.exit(0);
  }
  console.log(task.error.message);
  process.exit(1);
});
