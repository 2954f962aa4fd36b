"""One public function for each verb: orchestration only, no printing and no prompts."""
