package project

// Deployment is the name under which the project's model answers: deploy.name, else the model's.
func (p *Project) Deployment() string {
	if d := p.File.Deploy; d != nil && d.Name != "" {
		return d.Name
	}
	if p.File.Model != nil {
		return p.File.Model.Name
	}
	return ""
}
