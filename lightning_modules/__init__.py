"""What is trained: LightningModules that wire pure functions and nets, and log nothing twice."""
