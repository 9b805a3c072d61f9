/* again.cc - one trainer run many times in one process, as its `main` compiled under the name `trainer`.
 *
 *   again FIRST LAST     trains into the folders run_FIRST ... run_LAST; ends with the first status that is not 0
 *   again OPTION ...     one run of the trainer with these options
 *
 * Each run starts from nothing but the driver's context, whose making takes a hundred times longer than three steps.
 */
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <string>

int trainer(int argc, char **argv);
#undef main

static int train_into(std::string folder) {
  std::string words[] = {"trainer", "--quiet", "--keep-going", "--log-every", "1", "--save-dir", folder};
  char *argv[8] = {};
  for (int i = 0; i < 7; i++) argv[i] = &words[i][0];
  return trainer(7, argv);
}

int main(int argc, char **argv) {
  if (argc != 3 || !isdigit((unsigned char)argv[1][0])) return trainer(argc, argv);
  for (int i = atoi(argv[1]); i <= atoi(argv[2]); i++)
    if (int status = train_into("run_" + std::to_string(i))) {
      fprintf(stderr, "run_%d ended with status %d\n", i, status);
      return status;
    }
  return 0;
}
