/* bad_checkpoints.c - checkpoints and weights gone bad. */
#include "tests/bad_files.h"

#define BYTES(text) BAD_BYTES, text, sizeof text - 1, 0, NULL
#define TENSORS(header, zeros) BAD_TENSORS, header, sizeof header - 1, zeros, NULL
#define CUT(bytes) BAD_CUT, NULL, 0, bytes, NULL
#define FLIP(at) BAD_FLIP, NULL, 0, at, NULL
#define VALUE(at, text) BAD_VALUE, text, sizeof text - 1, at, NULL
#define LONGER(text) BAD_LONGER, text, sizeof text - 1, 0, NULL
#define EDIT(from, to) BAD_EDIT, from, sizeof from - 1, 0, to
#define COPY(name) BAD_COPY, name, 0, 0, NULL
#define PLAIN(form) form, NULL, 0, 0, NULL
#define T(shape, begin, end) "{\"dtype\":\"F32\",\"shape\":[" shape "],\"data_offsets\":[" begin "," end "]}"
#define BIAS "\"net.fc1.bias\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[32,48]}"
#define SAVED "run/m.checkpoint.safetensors"

const BadFile bad_checkpoints[] = {
    {"missing", SAVED, PLAIN(BAD_MISSING),
     "run/m.checkpoint.safetensors: there is no checkpoint to resume from; train without --resume first"},
    {"a folder", SAVED, PLAIN(BAD_FOLDER), "run/m.checkpoint.safetensors: cannot write: it is a folder"},
    {"a link to itself", SAVED, PLAIN(BAD_LOOP),
     "run/m.checkpoint.safetensors: cannot open: Too many levels of symbolic links"},
    {"unreadable", SAVED, PLAIN(BAD_DEVICE), "run/m.checkpoint.safetensors: cannot read: Input/output error"},
    {"empty", SAVED, BYTES(""),
     "run/m.checkpoint.safetensors: cut short: a safetensors file has at least 8 bytes, this has 0"},
    {"cut in the length", SAVED, CUT(5),
     "run/m.checkpoint.safetensors: cut short: a safetensors file has at least 8 bytes, this has 5"},
    {"cut behind the length", SAVED, CUT(8),
     "run/m.checkpoint.safetensors: cut short: the header needs 1096 bytes, 0 are there"},
    {"cut in the metadata", SAVED, CUT(60),
     "run/m.checkpoint.safetensors: cut short: the header needs 1096 bytes, 52 are there"},
    {"cut in the header", SAVED, CUT(1000),
     "run/m.checkpoint.safetensors: cut short: the header needs 1096 bytes, 992 are there"},
    {"cut in the parameters", SAVED, CUT(-500),
     "run/m.checkpoint.safetensors: cut short: the header needs 1096 bytes, 920 are there"},
    {"cut in the slots", SAVED, CUT(-100),
     "run/m.checkpoint.safetensors: cut short: tensor optimizer.m.net.fc2.weight ends at byte 252 of the data, 224 "
     "are there"},
    {"the last byte is gone", SAVED, CUT(-1),
     "run/m.checkpoint.safetensors: cut short: tensor optimizer.v.net.fc2.bias ends at byte 324 of the data, 323 "
     "are there"},
    {"a byte more", SAVED, LONGER("x"),
     "run/m.checkpoint.safetensors: too long: the tensors end at byte 324 of the data, 325 are there"},
    {"written twice", SAVED, LONGER("01234567890123456789"),
     "run/m.checkpoint.safetensors: too long: the tensors end at byte 324 of the data, 344 are there"},
    {"header length 0", SAVED, VALUE(0, "\0\0\0\0\0\0\0\0"),
     "run/m.checkpoint.safetensors: not a safetensors file: it does not begin with the length of a JSON header, and "
     "that header"},
    {"header length 1", SAVED, VALUE(0, "\1\0\0\0\0\0\0\0"),
     "run/m.checkpoint.safetensors: not a safetensors file: it does not begin with the length of a JSON header, and "
     "that header"},
    {"header length past the end", SAVED, VALUE(0, "\0\0\1\0\0\0\0\0"),
     "run/m.checkpoint.safetensors: cut short: the header needs 65536 bytes, 1420 are there"},
    {"header length huge", SAVED, VALUE(0, "\xff\xff\xff\xff\xff\xff\xff\xff"),
     "run/m.checkpoint.safetensors: not a safetensors file: it does not begin with the length of a JSON header, and "
     "that header"},
    {"header length below 0", SAVED, VALUE(0, "\0\0\0\0\0\0\0\x80"),
     "run/m.checkpoint.safetensors: not a safetensors file: it does not begin with the length of a JSON header, and "
     "that header"},
    {"header a byte short", SAVED, TENSORS("{\"a\":" T("1", "0", "4"), 4),
     "run/m.checkpoint.safetensors: the header is damaged: at byte 53 of it: '}' expected near end of file"},
    {"zeros", SAVED, BYTES("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
     "run/m.checkpoint.safetensors: not a safetensors file: it does not begin with the length of a JSON header, and "
     "that header"},
    {"text", SAVED, BYTES("this is not a checkpoint"),
     "run/m.checkpoint.safetensors: not a safetensors file: it does not begin with the length of a JSON header, and "
     "that header"},
    {"a .pt file", SAVED, BYTES("PK\3\4\24\0\0\0\0\0\0\0\0\0\0\0"),
     "run/m.checkpoint.safetensors: not a safetensors file: it looks like a .pt file or an archive; torch.load it "
     "and save it with safetensors.torch.save_file"},
    {"a pickle", SAVED, BYTES("\x80\2}q\1(X\1\0\0\0a"),
     "run/m.checkpoint.safetensors: not a safetensors file: it looks like a pickle; load it in Python and save it "
     "with safetensors.torch.save_file"},
    {"an npy file", SAVED, COPY("x.npy"), "run/m.checkpoint.safetensors: not a safetensors file: it is an npy file"},
    {"a csv file", SAVED, COPY("train.csv"),
     "run/m.checkpoint.safetensors: not a safetensors file: it does not begin with the length of a JSON header, and "
     "that header"},
    {"not JSON", SAVED, EDIT("\"__metadata__\":", "\"__metadata__\" "),
     "run/m.checkpoint.safetensors: the header is damaged: at byte 17 of it: ':' expected near '{'"},
    {"JSON, then more", SAVED, TENSORS("{} {}", 0),
     "run/m.checkpoint.safetensors: the header is damaged: at byte 4 of it: end of file expected near '{'"},
    {"a list", SAVED, TENSORS("[1, 2]", 0),
     "run/m.checkpoint.safetensors: not a safetensors file: it does not begin with the length of a JSON header, and "
     "that header"},
    {"no tensors", SAVED, TENSORS("{}", 0),
     "run/m.checkpoint.safetensors: not a checkpoint of a trainer; weights are loaded with --init"},
    {"not UTF-8", SAVED, EDIT("net.fc1.bias", "net.fc1.\xff\xfe"),
     "run/m.checkpoint.safetensors: the header is damaged: at byte 239 of it: unable to decode byte 0xff near "
     "'\"net.fc1.'"},
    {"a NUL in a name", SAVED, EDIT("net.fc1.bias", "net.fc1\\u0000"),
     "run/m.checkpoint.safetensors: the header is damaged: at byte 245 of it: NUL byte in object key not supported "
     "near '\"net.fc1\\u0000\"'"},
    {"control characters in a name", SAVED, EDIT("net.fc1.bias", "net.\\u001b[31m"),
     "run/m.checkpoint.safetensors: tensor net.fc1.bias is missing; the model (m.mt:8) needs it as [4]"},
    {"a name twice", SAVED, EDIT("net.fc1.bias", "net.fc1.weight"),
     "run/m.checkpoint.safetensors: the header is damaged: at byte 246 of it: duplicate object key near "
     "'\"net.fc1.weight\"'"},
    {"deep JSON", SAVED, EDIT("\"format\":", "\"x\":[[[[[[[[[[1]]]]]]]]]],\"format\":"),
     "run/m.checkpoint.safetensors: __metadata__: x is not a string"},
    {"no dtype", SAVED, EDIT("\"dtype\":\"F32\",", ""),
     "run/m.checkpoint.safetensors: tensor net.fc1.weight: the header gives it no dtype"},
    {"an unknown dtype", SAVED, EDIT("F32", "F16"),
     "run/m.checkpoint.safetensors: tensor net.fc1.weight: its dtype is F16; F32, F64, BF16, I64, I32, U8 and BOOL "
     "can be read"},
    {"dtype is a number", SAVED, EDIT("\"F32\"", "32"),
     "run/m.checkpoint.safetensors: tensor net.fc1.weight: the header gives it no dtype"},
    {"integers", SAVED, EDIT("F32", "I32"),
     "run/m.checkpoint.safetensors: tensor net.fc1.weight holds integers, the model (m.mt:8) needs f32"},
    {"a dtype of another size", SAVED, EDIT("F32", "F64"),
     "run/m.checkpoint.safetensors: tensor net.fc1.weight: its shape needs 64 bytes, its data_offsets give it 32"},
    {"no shape", SAVED, EDIT("\"shape\":[4],", ""),
     "run/m.checkpoint.safetensors: tensor net.fc1.bias: the header gives it no shape"},
    {"shape is a number", SAVED, EDIT("\"shape\":[4]", "\"shape\":4"),
     "run/m.checkpoint.safetensors: tensor net.fc1.bias: the header gives it no shape"},
    {"shape of words", SAVED, EDIT("\"shape\":[4]", "\"shape\":[\"4\"]"),
     "run/m.checkpoint.safetensors: tensor net.fc1.bias: axis 0 of its shape is not a whole number from 0"},
    {"shape with a fraction", SAVED, EDIT("\"shape\":[4]", "\"shape\":[4.0]"),
     "run/m.checkpoint.safetensors: tensor net.fc1.bias: axis 0 of its shape is not a whole number from 0"},
    {"shape below 0", SAVED, EDIT("\"shape\":[4]", "\"shape\":[-4]"),
     "run/m.checkpoint.safetensors: tensor net.fc1.bias: axis 0 of its shape is not a whole number from 0"},
    {"shape beyond 64 bits", SAVED, EDIT("\"shape\":[4]", "\"shape\":[18446744073709551620]"),
     "run/m.checkpoint.safetensors: the header is damaged: at byte 289 of it: too big integer near "
     "'18446744073709551620'"},
    {"an overflowing shape", SAVED, EDIT("\"shape\":[4]", "\"shape\":[4294967296,4294967296,16]"),
     "run/m.checkpoint.safetensors: tensor net.fc1.bias: its shape is too large"},
    {"nine axes", SAVED, EDIT("\"shape\":[4]", "\"shape\":[4,1,1,1,1,1,1,1,1]"),
     "run/m.checkpoint.safetensors: tensor net.fc1.bias: it has 9 axes; at most 8 can be read"},
    {"a shape too small", SAVED, EDIT("\"shape\":[4]", "\"shape\":[3]"),
     "run/m.checkpoint.safetensors: tensor net.fc1.bias: its shape needs 12 bytes, its data_offsets give it 16"},
    {"other axes", SAVED, EDIT("\"shape\":[4]", "\"shape\":[2,2]"),
     "run/m.checkpoint.safetensors: tensor net.fc1.bias is [2, 2], the model (m.mt:8) needs [4]"},
    {"axes swapped", SAVED, EDIT("\"shape\":[4,2]", "\"shape\":[2,4]"),
     "run/m.checkpoint.safetensors: tensor net.fc1.weight is [2, 4], the model (m.mt:8) needs [4, 2]"},
    {"no offsets", SAVED, EDIT(",\"data_offsets\":[32,48]", ""),
     "run/m.checkpoint.safetensors: tensor net.fc1.bias: its data_offsets are not two rising numbers"},
    {"offsets of words", SAVED, EDIT("[32,48]", "[\"32\",48]"),
     "run/m.checkpoint.safetensors: tensor net.fc1.bias: its data_offsets are not two rising numbers"},
    {"an end with a fraction", SAVED, EDIT("[32,48]", "[32,48.0]"),
     "run/m.checkpoint.safetensors: tensor net.fc1.bias: its data_offsets are not two rising numbers"},
    {"one offset", SAVED, EDIT("\"data_offsets\":[32,48]", "\"data_offsets\":[32]"),
     "run/m.checkpoint.safetensors: tensor net.fc1.bias: its data_offsets are not two rising numbers"},
    {"falling offsets", SAVED, EDIT("[32,48]", "[48,32]"),
     "run/m.checkpoint.safetensors: tensor net.fc1.bias: its data_offsets are not two rising numbers"},
    {"offset below 0", SAVED, EDIT("[32,48]", "[-32,48]"),
     "run/m.checkpoint.safetensors: tensor net.fc1.bias: its data_offsets are not two rising numbers"},
    {"offset beyond 64 bits", SAVED, EDIT("[32,48]", "[32,18446744073709551664]"),
     "run/m.checkpoint.safetensors: the header is damaged: at byte 311 of it: too big integer near "
     "'18446744073709551664'"},
    {"offset past the end", SAVED, EDIT("[32,48]", "[4032,4048]"),
     "run/m.checkpoint.safetensors: cut short: tensor net.fc1.bias ends at byte 4048 of the data, 324 are there"},
    {"an overlap", SAVED, EDIT("[32,48]", "[28,44]"),
     "run/m.checkpoint.safetensors: tensor net.fc1.bias: it begins at byte 28 of the data, the one before it ends "
     "at 32: they overlap"},
    {"a hole", SAVED, EDIT("[32,48]", "[36,52]"),
     "run/m.checkpoint.safetensors: tensor net.fc1.bias: it begins at byte 36 of the data, the one before it ends "
     "at 32: there is a hole"},
    {"a tensor of nothing else", SAVED, TENSORS("{\"a\":1}", 0),
     "run/m.checkpoint.safetensors: tensor a: the header gives it no dtype"},
    {"metadata is a list", SAVED, TENSORS("{\"__metadata__\":[]}", 0),
     "run/m.checkpoint.safetensors: __metadata__ is not an object"},
    {"metadata holds a number", SAVED, EDIT("\"seed\":\"0\"", "\"seed\":0"),
     "run/m.checkpoint.safetensors: __metadata__: seed is not a string"},
    {"a tensor is missing", SAVED, EDIT(BIAS, "\"bias\":" T("4", "32", "48")),
     "run/m.checkpoint.safetensors: tensor net.fc1.bias is missing; the model (m.mt:8) needs it as [4]"},
    {"a slot is missing", SAVED, EDIT("optimizer.m.net.fc2.bias", "optimizer.n.net.fc2.bias"),
     "run/m.checkpoint.safetensors: tensor optimizer.m.net.fc2.bias is missing; the model (m.mt:8) needs it as [3]"},
    {"a tensor more", SAVED, EDIT(BIAS, BIAS ",\"more\":" T("0", "32", "32")),
     "run/m.checkpoint.safetensors: tensor more is not one of this model's"},
    {"no format", SAVED, EDIT("\"format\":\"mtc checkpoint 1\",", ""),
     "run/m.checkpoint.safetensors: not a checkpoint of a trainer; weights are loaded with --init"},
    {"a format to come", SAVED, EDIT("mtc checkpoint 1", "mtc checkpoint 2"),
     "run/m.checkpoint.safetensors: a checkpoint of another version of mtc (mtc checkpoint 2); this trainer reads "
     "mtc checkpoint 1"},
    {"another model's", SAVED, EDIT("\"model\":\"m\"", "\"model\":\"digits\""),
     "run/m.checkpoint.safetensors: a checkpoint of another model: digits, this is m"},
    {"nobody's", SAVED, EDIT("\"model\":\"m\",", ""),
     "run/m.checkpoint.safetensors: a checkpoint of another model: (unnamed), this is m"},
    {"weights", SAVED, COPY("weights.safetensors"),
     "run/m.checkpoint.safetensors: not a checkpoint of a trainer; weights are loaded with --init"},
    {"no step", SAVED, EDIT("\"step\":", "\"stop\":"),
     "run/m.checkpoint.safetensors: its metadata is damaged: step is missing"},
    {"no row", SAVED, EDIT("\"row\":", "\"raw\":"),
     "run/m.checkpoint.safetensors: its metadata is damaged: row is missing"},
    {"no micro-batch", SAVED, EDIT("\"micro\":", "\"macro\":"),
     "run/m.checkpoint.safetensors: its metadata is damaged: micro is missing"},
    {"step of words", SAVED, EDIT("\"step\":\"6\"", "\"step\":\"six\""),
     "run/m.checkpoint.safetensors: its metadata is damaged: step is six, not a number that a trainer writes"},
    {"step below 0", SAVED, EDIT("\"step\":\"6\"", "\"step\":\"-6\""),
     "run/m.checkpoint.safetensors: its metadata is damaged: step is -6, not a number that a trainer writes"},
    {"step with a fraction", SAVED, EDIT("\"step\":\"6\"", "\"step\":\"6.5\""),
     "run/m.checkpoint.safetensors: its metadata is damaged: step is 6.5, not a number that a trainer writes"},
    {"step beyond 64 bits", SAVED, EDIT("\"step\":\"6\"", "\"step\":\"99999999999999999999\""),
     "run/m.checkpoint.safetensors: its metadata is damaged: step is 99999999999999999999, not a number that a "
     "trainer writes"},
    {"epoch at the end of 64 bits", SAVED, EDIT("\"epoch\":\"2\"", "\"epoch\":\"9223372036854775807\""),
     "run/m.checkpoint.safetensors: its metadata is damaged: epoch is 9223372036854775807, not a number that a "
     "trainer writes"},
    {"row past the data", SAVED, EDIT("\"row\":\"0\"", "\"row\":\"12\""),
     "the checkpoint in run stands at row 12 of data train_set, which has 10: go on with the data it was made with"},
    {"seed of words", SAVED, EDIT("\"seed\":\"0\"", "\"seed\":\"0x\""),
     "run/m.checkpoint.safetensors: its metadata is damaged: seed is 0x, not a number that a trainer writes"},
    {"the best is no number", SAVED, EDIT("\"best.highest.npy_set.a\":\"", "\"best.highest.npy_set.a\":\"?"),
     "run/m.checkpoint.safetensors: its metadata is damaged: best.highest.npy_set.a is ?0.20000000298023224, not a "
     "number that a trainer writes"},
    {"more stands behind the best", SAVED, EDIT("0.20000000298023224", "0.20x"),
     "run/m.checkpoint.safetensors: its metadata is damaged: best.highest.npy_set.a is 0.20x, not a number that a "
     "trainer writes"},
};
const int n_bad_checkpoints = sizeof bad_checkpoints / sizeof bad_checkpoints[0];

#define INIT "weights.safetensors"
#define WIDE \
  "{\"fc1.weight\":{\"dtype\":\"F64\",\"shape\":[4,2],\"data_offsets\":[0,64]},\"fc1.bias\":" T("4", "64", "80") \
  ",\"fc2.weight\":" T("3,4", "80", "128") ",\"fc2.bias\":" T("3", "128", "140") "}"
const BadFile bad_weights[] = {
    {"missing", INIT, PLAIN(BAD_MISSING), "weights.safetensors: no such file (nor weights.safetensors.gz)"},
    {"a folder", INIT, PLAIN(BAD_FOLDER), "weights.safetensors: it is a folder, not a file"},
    {"empty", INIT, BYTES(""), "weights.safetensors: cut short: a safetensors file has at least 8 bytes, this has 0"},
    {"a .pt file", INIT, BYTES("PK\3\4\24\0\0\0\0\0\0\0\0\0\0\0"),
     "weights.safetensors: not a safetensors file: it looks like a .pt file or an archive; torch.load it and save "
     "it with safetensors.torch.save_file"},
    {"cut short", INIT, CUT(-1),
     "weights.safetensors: cut short: tensor fc2.bias ends at byte 108 of the data, 107 are there"},
    {"the whole checkpoint", INIT, COPY(SAVED),
     "weights.safetensors: a checkpoint, not weights; go on from it with --resume"},
    {"a layer is missing", INIT, EDIT("\"fc2.bias\"", "\"fc3.bias\""),
     "weights.safetensors: tensor fc2.bias is missing; the model (m.mt:8) needs it as [3]"},
    {"a layer more", INIT, EDIT("{\"", "{\"fc9.bias\":" T("0", "0", "0") ",\""),
     "weights.safetensors: tensor fc9.bias is not one of this model's"},
    {"another size", INIT, EDIT("[4,2]", "[2,4]"),
     "weights.safetensors: tensor fc1.weight is [2, 4], the model (m.mt:8) needs [4, 2]"},
    {"integers", INIT, EDIT("F32", "I32"),
     "weights.safetensors: tensor fc1.weight holds integers, the model (m.mt:8) needs f32"},
    {"no tensors", INIT, TENSORS("{}", 0),
     "weights.safetensors: tensor fc1.weight is missing; the model (m.mt:8) needs it as [4, 2]"},
    {"f64 beyond f32", INIT, BAD_TENSORS, WIDE, sizeof WIDE - 1, 140, "\xff\xff\xff\xff\xff\xff\xef\x7f",
     "weights.safetensors: tensor fc1.weight: element [0, 0] is 1.797693135e+308, which f32 cannot hold"},
};
const int n_bad_weights = sizeof bad_weights / sizeof bad_weights[0];
