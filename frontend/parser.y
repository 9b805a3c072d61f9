/* parser.y - the grammar of .mt files.
 *
 * One rule a construct, one constructor call a rule.  Tokens come from
 * layout.c, which has already decided where statements end and which words are
 * keywords, so nothing here speaks of lines but T_NEWLINE, the end of a
 * statement.  The grammar says what a statement looks like; where it may stand
 * is place.c's question.  After an error the tokens up to the end of the
 * statement are skipped and parsing goes on, so that one run reports several.
 *
 * Everything lives in the parser's arena, so nothing needs a destructor.
 */
%code requires {
#include "frontend/parse.h"
}

%code {
#include <string.h>

static int mt_lex(union Value *value, Range *at, Parser *p);
static void mt_error(const Range *at, Parser *p, const char *message);
static Word word(const Token *t) { return (Word){t->name, t->at}; }

#define YYMAXDEPTH 10000
#define YYLLOC_DEFAULT(to, from, n)                                                                      \
  do {                                                                                                   \
    if (n)                                                                                               \
      (to) = (Range){YYRHSLOC(from, 1).line, YYRHSLOC(from, 1).column, YYRHSLOC(from, n).end_line,       \
                     YYRHSLOC(from, n).end_column};                                                      \
    else                                                                                                 \
      (to) = (Range){YYRHSLOC(from, 0).end_line, YYRHSLOC(from, 0).end_column,                           \
                     YYRHSLOC(from, 0).end_line, YYRHSLOC(from, 0).end_column};                          \
  } while (0)
}

%define api.pure full
%define api.prefix {mt_}
%define api.token.prefix {T_}
%define api.location.type {Range}
%define api.value.union.name Value
%define parse.error custom
%define parse.lac full
%locations
%expect 0
%param {Parser *p}
%initial-action { @$ = (Range){1, 1, 1, 1}; }

%union {
  const Token *token;
  Word word;
  Expr *expr;
  Exprs *exprs;
  Words *words;
  Axis *axis;
  Axes *axes;
  TypeExpr *type;
  Types *types;
  FieldDecl *field;
  Fields *fields;
  Syntax *statement;
  Block *block;
  Count *count;
  Carried *carried;
  Clauses *clauses;
}

%token END 0        "the end of the file"
%token NEWLINE      "the end of the line"
%token <token> NAME "a name" NUMBER "a number" STRING "a text in quotes"
%token USE "`use`" DIM "`dim`" DATA "`data`" MODULE "`module`" FN "`fn`" LET "`let`" PARAM "`param`" STATE "`state`"
%token IF "`if`" ELSE "`else`" FOR "`for`" IN "`in`" CARRY "`carry`" COLLECT "`collect`" REMAT "`remat`"
%token RETURN "`return`" TRAIN "`train`" STEPS "`steps`" EPOCHS "`epochs`" WITH "`with`" UPDATE "`update`"
%token MINIMIZE "`minimize`" USING "`using`" FREEZE "`freeze`" LOG "`log`" EVERY "`every`" EVAL "`eval`"
%token SAVE "`save`" HIGHEST "`highest`" LOWEST "`lowest`" SAMPLE "`sample`" WEIGHTS "`weights`" FROM "`from`"
%token PREDICT "`predict`" AND "`and`" OR "`or`" NOT "`not`" TRUE "`true`" FALSE "`false`"
%token PIPE "`|>`" TO "`->`" ASSIGN "`<-`" REARRANGE "`.[`" RANGE "`..`" IS "`=`" COMMA "`,`" COLON "`:`" DOT "`.`"
%token EQ "`==`" NE "`!=`" LT "`<`" LE "`<=`" GT "`>`" GE "`>=`"
%token PLUS "`+`" MINUS "`-`" STAR "`*`" SLASH "`/`" FLOOR "`//`" PERCENT "`%`" POWER "`^`" MATMUL "`@`"
%token LPAREN "`(`" RPAREN "`)`" LBRACKET "`[`" RBRACKET "`]`" LBRACE "`{`" RBRACE "`}`"
%token LFIELDS "`{` " RFIELDS "`}` "
%token SEMICOLON "`;`" UNCLOSED "an open bracket" SLIP "a slip" BAD "a bad token"

%type <expr> expr piped stage stage_base disjunction conjunction negation comparison sum product unary power postfix
%type <expr> primary choice item source default
%type <exprs> exprs items arguments argument_list shape_axes shape_list bindings options option_list map map_list
%type <words> names
%type <axis> axis factor
%type <axes> axes factors
%type <type> type
%type <types> results type_list
%type <field> field typed_field input
%type <fields> fields field_list typed_fields typed_list inputs input_list
%type <statement> statement if
%type <block> statements block
%type <count> count
%type <carried> carried
%type <clauses> clauses
%type <word> path

%%

file
  : statements  { p->file->statements = $1->items; p->file->n_statements = $1->n; }
  ;

statements
  : %empty                        { $$ = add_statement(p, NULL, NULL); }
  | statements statement NEWLINE  { $$ = add_statement(p, $1, $2); }
  | statements error NEWLINE      { $$ = add_statement(p, $1, statement_error(p, @2)); yyerrok; }
  ;

block
  : LBRACE statements RBRACE      { $$ = $2; }
  ;

/* ---- statements ---- */

statement
  : USE NAME                      { $$ = statement_use(p, @1, $2->name, false, @2); }
  | USE STRING                    { $$ = statement_use(p, @1, $2->name, true, @2); }
  | DIM bindings                  { $$ = statement_dim(p, @1, $2); }
  | DATA NAME IS expr             { $$ = statement_data(p, @1, word($2), $4, NULL); }
  | DATA NAME IS expr TO LFIELDS typed_fields RFIELDS
                                  { $$ = statement_data(p, @1, word($2), $4, $7); }
  | MODULE NAME LPAREN fields RPAREN LPAREN inputs RPAREN TO results block
                                  { $$ = statement_module(p, @1, word($2), $4, $7, $10, $11); }
  | FN NAME LPAREN fields RPAREN IS expr
                                  { $$ = statement_fn(p, @1, word($2), $4, $7, NULL); }
  | FN NAME LPAREN fields RPAREN IS block
                                  { $$ = statement_fn(p, @1, word($2), $4, NULL, $7); }
  | LET names IS expr             { $$ = statement_let(p, @1, $2, $4); }
  | PARAM NAME COLON type IS expr { $$ = statement_stored(p, SYN_PARAM, @1, word($2), $4, $6); }
  | STATE NAME COLON type IS expr { $$ = statement_stored(p, SYN_STATE, @1, word($2), $4, $6); }
  | if
  | FOR NAME IN source carried block
                                  { $$ = statement_for(p, @1, word($2), $4, $5, $6); }
  | RETURN exprs                  { $$ = statement_return(p, @1, $2); }
  | TRAIN NAME IN expr FOR count block
                                  { $$ = statement_train(p, @1, word($2), $4, $6, NULL, $7); }
  | TRAIN NAME IN expr FOR count WITH LPAREN options RPAREN block
                                  { $$ = statement_train(p, @1, word($2), $4, $6, $9, $11); }
  | UPDATE clauses                { $$ = statement_update(p, @1, $2); }
  | FREEZE exprs                  { $$ = statement_freeze(p, @1, $2); }
  | LOG NAME IS expr              { Word name = word($2); $$ = statement_log(p, @1, &name, $4); }
  | LOG expr                      { $$ = statement_log(p, @1, NULL, $2); }
  | EVERY count block             { $$ = statement_every(p, @1, $2, $3); }
  | EVERY count statement         { $$ = statement_every(p, @1, $2, add_statement(p, NULL, $3)); }
  | EVAL NAME IN expr block       { $$ = statement_eval(p, @1, word($2), $4, $5); }
  | SAVE                          { $$ = statement_save(p, @1, false, NULL); }
  | SAVE HIGHEST NAME             { Word name = word($3); $$ = statement_save(p, @1, true, &name); }
  | SAVE LOWEST NAME              { Word name = word($3); $$ = statement_save(p, @1, false, &name); }
  | SAMPLE expr                   { $$ = statement_sample(p, @1, $2); }
  | WEIGHTS NAME FROM STRING      { $$ = statement_weights(p, @1, word($2), $4, NULL); }
  | WEIGHTS NAME FROM STRING LFIELDS map RFIELDS
                                  { $$ = statement_weights(p, @1, word($2), $4, $6); }
  | PREDICT NAME IN LFIELDS typed_fields RFIELDS TO expr
                                  { $$ = statement_predict(p, @1, word($2), $5, $8); }
  | exprs                         { $$ = statement_exprs(p, @1, $1); }
  | exprs IS expr                 { $$ = statement_rebind(p, @1, $1, $3); }
  | expr ASSIGN expr              { $$ = statement_assign(p, @1, $1, $3); }
  ;

if
  : IF expr block                 { $$ = statement_if(p, @1, $2, $3, NULL); }
  | IF expr block ELSE block      { $$ = statement_if(p, @1, $2, $3, $5); }
  | IF expr block ELSE if         { $$ = statement_if(p, @1, $2, $3, add_statement(p, NULL, $5)); }
  ;

bindings
  : NAME IS expr                  { $$ = add_named(p, NULL, word($1), $3); }
  | bindings COMMA NAME IS expr   { $$ = add_named(p, $1, word($3), $5); }
  ;

names
  : NAME                          { $$ = add_word(p, NULL, word($1)); }
  | names COMMA NAME              { $$ = add_word(p, $1, word($3)); }
  ;

exprs
  : expr                          { $$ = add_expr(p, NULL, $1); }
  | exprs COMMA expr              { $$ = add_expr(p, $1, $3); }
  ;

count
  : expr STEPS                    { $$ = make_count(p, $1, STEPS); }
  | expr EPOCHS                   { $$ = make_count(p, $1, EPOCHS); }
  ;

source
  : expr
  | sum RANGE sum                 { $$ = expr_range(p, @$, $1, $3); }
  ;

carried
  : %empty                        { $$ = make_carried(p, NULL, NULL, NULL, false); }
  | carried CARRY names           { $$ = make_carried(p, $1, $3, NULL, false); }
  | carried COLLECT names         { $$ = make_carried(p, $1, NULL, $3, false); }
  | carried REMAT                 { $$ = make_carried(p, $1, NULL, NULL, true); }
  ;

clauses
  : postfix MINIMIZE expr USING expr
                                  { $$ = first_clause(p, $1, $3, $5); }
  | clauses COMMA postfix USING expr
                                  { $$ = add_clause(p, $1, $3, $5); }
  ;

options
  : option_list                   { $$ = $1; }
  | option_list COMMA             { $$ = $1; }
  ;

option_list
  : NAME COLON expr               { $$ = add_named(p, NULL, word($1), $3); }
  | option_list COMMA NAME COLON expr
                                  { $$ = add_named(p, $1, word($3), $5); }
  ;

map
  : %empty                        { $$ = NULL; }
  | map_list                      { $$ = $1; }
  | map_list COMMA                { $$ = $1; }
  ;

map_list
  : path COLON expr               { $$ = add_named(p, NULL, $1, $3); }
  | map_list COMMA path COLON expr
                                  { $$ = add_named(p, $1, $3, $5); }
  ;

path
  : NAME                          { $$ = word($1); }
  | STRING                        { $$ = word($1); }
  | path DOT NAME                 { $$ = join_path(p, @$, $1, word($3)); }
  ;

/* ---- fields and types ---- */

fields
  : %empty                        { $$ = NULL; }
  | field_list                    { $$ = $1; }
  | field_list COMMA              { $$ = $1; }
  ;

field_list
  : field                         { $$ = add_field(p, NULL, $1); }
  | field_list COMMA field        { $$ = add_field(p, $1, $3); }
  ;

field
  : NAME default                  { $$ = make_field(p, word($1), NULL, $2); }
  | NAME COLON type default       { $$ = make_field(p, word($1), $3, $4); }
  ;

default
  : %empty                        { $$ = NULL; }
  | IS expr                       { $$ = $2; }
  ;

typed_fields
  : %empty                        { $$ = NULL; }
  | typed_list                    { $$ = $1; }
  | typed_list COMMA              { $$ = $1; }
  ;

typed_list
  : typed_field                   { $$ = add_field(p, NULL, $1); }
  | typed_list COMMA typed_field  { $$ = add_field(p, $1, $3); }
  ;

typed_field
  : NAME COLON type               { $$ = make_typed_field(p, word($1), $3, NULL); }
  ;

inputs
  : %empty                        { $$ = NULL; }
  | input_list                    { $$ = $1; }
  | input_list COMMA              { $$ = $1; }
  ;

input_list
  : input                         { $$ = add_field(p, NULL, $1); }
  | input_list COMMA input        { $$ = add_input(p, $1, $3); }
  ;

input
  : NAME COLON type default       { $$ = make_typed_field(p, word($1), $3, $4); }
  ;

type
  : NAME                          { Word name = word($1); $$ = make_type(p, @$, &name, NULL); }
  | LBRACKET shape_axes RBRACKET  { $$ = make_type(p, @$, NULL, $2); }
  | NAME LBRACKET shape_axes RBRACKET
                                  { Word name = word($1); $$ = make_type(p, @$, &name, $3); }
  ;

results
  : type                          { $$ = add_type(p, NULL, $1); }
  | LPAREN type_list RPAREN       { $$ = $2; $$->tuple = true; }
  | LPAREN type_list COMMA RPAREN { $$ = $2; $$->tuple = true; }
  ;

type_list
  : type                          { $$ = add_type(p, NULL, $1); }
  | type_list COMMA type          { $$ = add_type(p, $1, $3); }
  ;

shape_axes
  : %empty                        { $$ = add_expr(p, NULL, NULL); }
  | shape_list                    { $$ = $1; }
  | shape_list COMMA              { $$ = $1; }
  ;

shape_list
  : expr                          { $$ = add_expr(p, NULL, $1); }
  | STAR NAME                     { $$ = add_expr(p, NULL, expr_spread(p, @$, word($2))); }
  | shape_list COMMA expr         { $$ = add_expr(p, $1, $3); }
  | shape_list COMMA STAR NAME    { $$ = add_expr(p, $1, expr_spread(p, @4, word($4))); }
  ;

/* ---- expressions, loosest first ---- */

expr
  : disjunction
  | piped
  ;

piped
  : disjunction PIPE stage        { $$ = expr_pipe(p, @$, $1, $3); }
  | piped PIPE stage              { $$ = expr_pipe(p, @$, $1, $3); }
  | piped REARRANGE axes RBRACKET { $$ = expr_rearrange(p, @$, $1, NULL, $3); }
  | piped REARRANGE axes TO axes RBRACKET
                                  { $$ = expr_rearrange(p, @$, $1, $3, $5); }
  ;

stage
  : stage_base
  | NAME COLON stage_base         { $$ = expr_label(p, @$, word($1), $3); }
  ;

stage_base
  : NAME                          { $$ = expr_name(p, word($1)); }
  | stage_base DOT NAME           { $$ = expr_field(p, @$, $1, word($3)); }
  | stage_base LPAREN arguments RPAREN
                                  { $$ = expr_call(p, @$, $1, $3); }
  | stage_base LBRACKET items RBRACKET
                                  { $$ = expr_index(p, @$, $1, $3); }
  ;

disjunction
  : conjunction
  | disjunction OR conjunction    { $$ = expr_binary(p, @2, "or", $1, $3); }
  ;

conjunction
  : negation
  | conjunction AND negation      { $$ = expr_binary(p, @2, "and", $1, $3); }
  ;

negation
  : comparison
  | NOT negation                  { $$ = expr_unary(p, @$, "not", $2); }
  ;

comparison
  : sum
  | sum EQ sum                    { $$ = expr_binary(p, @2, "==", $1, $3); }
  | sum NE sum                    { $$ = expr_binary(p, @2, "!=", $1, $3); }
  | sum LT sum                    { $$ = expr_binary(p, @2, "<", $1, $3); }
  | sum LE sum                    { $$ = expr_binary(p, @2, "<=", $1, $3); }
  | sum GT sum                    { $$ = expr_binary(p, @2, ">", $1, $3); }
  | sum GE sum                    { $$ = expr_binary(p, @2, ">=", $1, $3); }
  ;

sum
  : product
  | sum PLUS product              { $$ = expr_binary(p, @2, "+", $1, $3); }
  | sum MINUS product             { $$ = expr_binary(p, @2, "-", $1, $3); }
  ;

product
  : unary
  | product STAR unary            { $$ = expr_binary(p, @2, "*", $1, $3); }
  | product SLASH unary           { $$ = expr_binary(p, @2, "/", $1, $3); }
  | product FLOOR unary           { $$ = expr_binary(p, @2, "//", $1, $3); }
  | product PERCENT unary         { $$ = expr_binary(p, @2, "%", $1, $3); }
  | product MATMUL unary          { $$ = expr_binary(p, @2, "@", $1, $3); }
  ;

unary
  : power
  | MINUS unary                   { $$ = expr_unary(p, @$, "-", $2); }
  ;

power
  : postfix
  | postfix POWER unary           { $$ = expr_binary(p, @2, "^", $1, $3); }
  ;

postfix
  : primary
  | postfix DOT NAME              { $$ = expr_field(p, @$, $1, word($3)); }
  | postfix LPAREN arguments RPAREN
                                  { $$ = expr_call(p, @$, $1, $3); }
  | postfix LBRACKET items RBRACKET
                                  { $$ = expr_index(p, @$, $1, $3); }
  | postfix REARRANGE axes RBRACKET
                                  { $$ = expr_rearrange(p, @$, $1, NULL, $3); }
  | postfix REARRANGE axes TO axes RBRACKET
                                  { $$ = expr_rearrange(p, @$, $1, $3, $5); }
  ;

primary
  : NUMBER                        { $$ = expr_number(p, $1); }
  | STRING                        { $$ = expr_string(p, $1); }
  | TRUE                          { $$ = expr_bool(p, @$, true); }
  | FALSE                         { $$ = expr_bool(p, @$, false); }
  | NAME                          { $$ = expr_name(p, word($1)); }
  | LPAREN expr RPAREN            { $$ = expr_brackets(p, @$, $2); }
  | LBRACKET shape_axes RBRACKET  { $$ = expr_shape(p, @$, $2); }
  | choice
  ;

choice
  : IF expr LFIELDS expr RFIELDS ELSE LFIELDS expr RFIELDS
                                  { $$ = expr_if(p, @$, $2, $4, $8); }
  | IF expr LFIELDS expr RFIELDS ELSE choice
                                  { $$ = expr_if(p, @$, $2, $4, $7); }
  ;

arguments
  : %empty                        { $$ = NULL; }
  | argument_list                 { $$ = $1; }
  | argument_list COMMA           { $$ = $1; }
  ;

argument_list
  : expr                          { $$ = add_expr(p, NULL, $1); }
  | NAME COLON expr               { $$ = add_named(p, NULL, word($1), $3); }
  | argument_list COMMA expr      { $$ = add_expr(p, $1, $3); }
  | argument_list COMMA NAME COLON expr
                                  { $$ = add_named(p, $1, word($3), $5); }
  ;

items
  : item                          { $$ = add_expr(p, NULL, $1); }
  | items COMMA item              { $$ = add_expr(p, $1, $3); }
  ;

item
  : expr
  | disjunction COLON disjunction { $$ = expr_slice(p, @$, $1, $3); }
  | disjunction COLON             { $$ = expr_slice(p, @$, $1, NULL); }
  | COLON disjunction             { $$ = expr_slice(p, @$, NULL, $2); }
  | COLON                         { $$ = expr_slice(p, @$, NULL, NULL); }
  ;

/* ---- x.[B, T, (3 H E) -> 3, B, H, T, E] ---- */

axes
  : axis                          { $$ = add_axis(p, NULL, $1); }
  | axes COMMA axis               { $$ = add_axis(p, $1, $3); }
  ;

axis
  : factor
  | STAR NAME                     { $$ = axis_name(p, word($2), true); }
  | LPAREN factors RPAREN         { $$ = axis_product(p, @$, $2); }
  ;

factors
  : factor                        { $$ = add_axis(p, NULL, $1); }
  | factors factor                { $$ = add_axis(p, $1, $2); }
  ;

factor
  : NAME                          { $$ = axis_name(p, word($1), false); }
  | NUMBER                        { $$ = axis_number(p, $1); }
  ;

%%

/* After an error, on to the end of the statement it happened in, blocks and all. */
static void skip_statement(Parser *p) {
  const Token *t = &p->tokens.items[p->next];
  int block = p->recover_block;
  while (t->kind != T_END && t->block >= block && (t->kind != T_NEWLINE || t->block > block)) t++;
  p->next = (int)(t - p->tokens.items);
  p->recover_block = -1;
}

static int mt_lex(union Value *value, Range *at, Parser *p) {
  if (p->recover_block >= 0) skip_statement(p);
  const Token *t = &p->tokens.items[p->next];
  p->read = p->next;
  if (t->kind != T_END) p->next++;
  value->token = t;
  *at = t->at;
  return t->kind;
}

static int yyreport_syntax_error(const yypcontext_t *context, Parser *p) {
  enum { MOST = 100 };
  yysymbol_kind_t symbols[MOST];
  const char *names[MOST];
  int n = yypcontext_expected_tokens(context, symbols, MOST);
  for (int i = 0; i < n; i++) names[i] = yysymbol_name(symbols[i]);
  const Token *found = &p->tokens.items[p->read];
  complain(p, found, names, n > 0 ? n : 0);
  if (found->kind != T_NEWLINE && found->kind != T_RBRACE && found->kind != T_END) p->recover_block = found->block;
  return 0;
}

/* Bison's own complaint when its stack is full; syntax errors come through the function above. */
static void mt_error(const Range *at, Parser *p, const char *message) {
  (void)message;
  report(p->d, WRONG_SIZE, span_of(p, *at), "this is nested too deeply to be read");
}

void parse_tokens(Parser *p) { mt_parse(p); }
