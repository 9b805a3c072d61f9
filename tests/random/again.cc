/* again.cc - one trainer run many times in one process, as its `main` compiled under the name `trainer`.
 *
 * Each line of standard input holds the options of a run; the first that ends with another status than 0 ends all.
 * A run starts from nothing but the driver's context, whose making takes a hundred times longer than three steps.
 */
#include <cstdio>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

int trainer(int argc, char **argv);
#undef main

static int run(const std::string &line) {
  std::istringstream in(line);
  std::vector<std::string> words = {"trainer", "--quiet"};
  for (std::string word; in >> word;) words.push_back(word);
  std::vector<char *> argv;
  for (std::string &word : words) argv.push_back(&word[0]);
  argv.push_back(nullptr);
  return trainer((int)words.size(), argv.data());
}

int main() {
  for (std::string line; std::getline(std::cin, line);)
    if (int status = run(line)) {
      fprintf(stderr, "`%s` ended with status %d\n", line.c_str(), status);
      return status;
    }
  return 0;
}
