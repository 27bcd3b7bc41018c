package main

import (
	"fmt"
	"time"

	"github.com/spf13/pflag"
)

// seedsOptions is what the command lines have in common that run many seeds in worker processes.
type seedsOptions struct {
	seeds   int
	workers int
	limit   time.Duration
}

// seedsFlags adds the flags. usage says what --seeds is for, with its value as `N`.
func (o *seedsOptions) seedsFlags(f *pflag.FlagSet, byDefault int, usage string) {
	f.IntVar(&o.seeds, "seeds", byDefault, usage)
	f.IntVarP(&o.workers, "jobs", "j", 2, "in how many processes `N` to run them")
	f.DurationVar(&o.limit, "limit", time.Minute, "wall time after which a run is killed")
}

func (o *seedsOptions) validate() error {
	switch {
	case o.seeds < 1:
		return fmt.Errorf("--seeds: %d is not allowed: want 1 or more", o.seeds)
	case o.workers < 1 || o.workers > 1024:
		return fmt.Errorf("-j: %d is not allowed: want 1 to 1024", o.workers)
	case o.limit <= 0:
		return fmt.Errorf("--limit: %v is not allowed: want more than 0", o.limit)
	}
	return nil
}
