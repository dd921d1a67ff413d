// Parses Power Query text from standard input and prints what Microsoft's
// parser says of it. Exit code 1 when it says something.
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
