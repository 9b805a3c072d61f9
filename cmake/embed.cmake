# A file as a C array:  cmake -D IN=nn.mt -D OUT=nn_mt.c -D NAME=nn_mt -P embed.cmake
file(READ ${IN} hex HEX)
string(REGEX REPLACE "(................................)" "\\1\n" hex "${hex}")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," hex "${hex}")
file(WRITE ${OUT} "#include <stddef.h>
extern const char ${NAME}[];
extern const size_t ${NAME}_length;
const char ${NAME}[] = {
${hex}0};
const size_t ${NAME}_length = sizeof ${NAME} - 1;
")
