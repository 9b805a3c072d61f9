/* mutant.h - which mutant is alive in this process: MTC_MUTANT in the environment; 0, none. */
extern int mtc_mutant;
